"""Sphinx configuration of the documentation: `make docs` writes docs/_build/html."""

import re
import sys
from pathlib import Path
from typing import Any

from sphinx_gallery.sorting import ExplicitOrder

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

project = 'downscale_jax'
author = copyright = 'The downscale_jax developers'
extensions = [
    'myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.autosummary', 'sphinx.ext.intersphinx', 'sphinx_copybutton',
    'sphinx_design', 'sphinx_gallery.gen_gallery',
]  # fmt: skip
exclude_patterns = ['_build', 'gallery', 'static', 'templates']
templates_path = ['templates']

myst_enable_extensions = ['colon_fence']
smartquotes = False  # quoted values of settings can be copied
myst_heading_anchors = 3  # links to sections, as on GitHub

GALLERY = (
    'own_files', 'sea_ice', 'calibration', 'observations', 'several_variables', 'another_region', 'patches_and_seams',
    'atmodist_distance', 'content_loss', 'crystals', 'glaciers', 'kill_and_resume', 'new_measure', 'new_system',
)  # fmt: skip
# every page of the gallery is a script that is executed when it is built
sphinx_gallery_conf = {
    'examples_dirs': 'gallery',
    'gallery_dirs': 'examples',
    'filename_pattern': '/',
    'ignore_pattern': r'shared_runs\.py',
    'within_subsection_order': ExplicitOrder([f'{name}.py' for name in GALLERY]),
    'image_srcset': ['2x'],
    'parallel': 2,
    'download_all_examples': False,
    'notebook_extensions': set(),
    'capture_repr': (),  # pages print what they show
    'min_reported_time': 600,  # s
    'show_signature': False,
    'write_computation_times': False,
}

# links from signatures to the classes of other packages; inventories of our own, so that the build needs no network
SITES = {
    'flax': 'https://flax-linen.readthedocs.io/en/latest/',
    'jax': 'https://docs.jax.dev/en/latest/',
    'numpy': 'https://numpy.org/doc/stable/',
    'xarray': 'https://docs.xarray.dev/en/stable/',
}
intersphinx_mapping = {name: (site, f'inventories/{name}.txt') for name, site in SITES.items()}

# a page of the API describes the modules of a package, not the packages in it
autosummary_context = {
    'packages': {'.'.join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob('*/**/__init__.py')}
}
default_role = 'code'  # docstrings quote names by single backticks
autodoc_default_options = {'members': True}
autodoc_member_order = 'bysource'
autodoc_typehints_format = 'short'
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries = False

html_theme = 'pydata_sphinx_theme'
html_static_path = ['static']
html_css_files = ['site.css']
html_title = 'downscale_jax'
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    'navbar_align': 'left',
    'header_links_before_dropdown': 7,
    'show_toc_level': 2,
    'navigation_with_keys': False,
    'secondary_sidebar_items': ['page-toc'],
    'footer_end': [],
}


def setup(app: Any) -> None:
    app.connect('source-read', link_to_pages)
    app.connect('autodoc-process-docstring', to_restructured_text)
    app.connect('autodoc-skip-member', skip_named_tuple_field)


def link_to_pages(app: Any, name: str, source: list[str]) -> None:
    """Leads links to scripts of the gallery, which also work on GitHub, to the pages made of them."""
    source[0] = re.sub(r'\]\(((?:\.\./)*)gallery/(\w+)\.py\)', r'](\1examples/\2.rst)', source[0])


def to_restructured_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrites the lines of a docstring, plain text with formulas such as |x| and lists without a blank line before."""
    rewritten: list[str] = []
    for line in lines:
        if re.match(r' *- ', line) and rewritten and not re.match(r' *- |  |$', rewritten[-1]):
            rewritten.append('')
        quoted = re.split('(`[^`]*`)', line)
        rewritten.append(''.join(part if part.startswith('`') else re.sub(r'([|*])', r'\\\1', part) for part in quoted))
    lines[:] = rewritten


def skip_named_tuple_field(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leaves out the docstrings that Python itself gives to the fields of a NamedTuple."""
    return True if str(getattr(obj, '__doc__', '')).startswith('Alias for field number') else None
