"""Records that remember which of them were read."""


class Counted(list):
    """Records of a split; `read` lists the indices that were read, in order."""

    def __init__(self, records):
        super().__init__(records)
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return super().__getitem__(index)
