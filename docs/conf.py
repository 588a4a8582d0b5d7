"""How the site is built; `make docs` runs it and follows every link."""

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import site_pages  # noqa: E402 - lies in tools
from sphinx.domains.python import PythonDomain  # noqa: E402

# Sphinx imports as a type checker would, which records of pydantic do not bear: import them first.
for folder in site_pages.folders():
    for module in site_pages.modules(folder):
        if folder.parts[-1] != "registry":  # MLflow's: mocked below
            importlib.import_module(site_pages.dotted(module))

project = "ffl-risk"
author = ""
copyright = ""  # noqa: A001 - Sphinx's name for it
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["images"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
default_role = "py:obj"  # `name` in a docstring links where it can
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_use_type_comments = False  # there are none; to look for them takes a fifth of the reading
toc_object_entries = (
    False  # modules in the navigation; every page bears it, thousands of names long else
)
autodoc_mock_imports = ["mlflow"]  # seconds to import, and nothing of it is shown
napoleon_google_docstring = False
napoleon_use_rtype = False
# A type in a signature may bear the name of two classes; the text is shown without a link then.
suppress_warnings = ["ref.python"]
html_theme = "furo"
html_title = "ffl-risk"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


def _is_foreign(_app, _what, _name, thing, _skip, _options):
    """Leave out what another library put into our classes and modules."""
    module = getattr(thing, "__module__", None)
    return True if module and module.split(".")[0] not in site_pages.HOUSES else None


class Names(PythonDomain):
    """Looks through the names of the site only for a word that one of them ends with."""

    _last: frozenset[str] = frozenset()
    _n = -1

    def find_obj(self, env, modname, classname, name, type, searchmode=0):  # noqa: A002
        """Find a name as Sphinx does, if anything is called so."""
        if self._n != len(self.objects):
            self._last = frozenset(known.rpartition(".")[2] for known in self.objects)
            self._n = len(self.objects)
        if name.removesuffix("()").rpartition(".")[2] not in self._last:
            return []
        return super().find_obj(env, modname, classname, name, type, searchmode)


def setup(app):
    """Write the pages that come from the code before Sphinx reads the folder."""
    app.add_domain(Names, override=True)
    app.connect("builder-inited", lambda app: site_pages.write(Path(app.srcdir) / "generated"))
    app.connect("autodoc-skip-member", _is_foreign)
