"""Empty figures for tests that open none: their layout takes most of a small evaluation."""


def blank_save():
    """A function in place of `style.save` that writes an empty figure."""
    from matplotlib.figure import Figure

    from downscale_jax.evaluation.drawing import style

    save = style.save
    return lambda figure, path: save(Figure((1, 1)), path)
