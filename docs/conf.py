"""The site of these pages, in English and Chinese. `make -C docs html` builds both.

The pages stay plain Markdown that reads well without Sphinx: what the site adds is here and in index.md.
"""
import ast
import pathlib
import re

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes
from sphinx.search import SearchLanguage
from sphinx.transforms.post_transforms import SphinxPostTransform

project = "qwen3.cpp"
copyright = "the authors of qwen3.cpp"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # the anchors that GitHub gives
exclude_patterns = ["locales", "_templates"]
templates_path = ["_templates"]
suppress_warnings = ["misc.highlighting_failure"]  # a console's output is any text

language = "en"  # make builds zh_CN with -D language
locale_dirs = ["locales"]
gettext_compact = False  # one catalog for each page
gettext_location = False  # line numbers would change with every edit
gettext_uuid = False

html_theme = "furo"
html_title = "qwen3.cpp"
html_copy_source = False
html_show_sphinx = False
html_sidebars = {
    "**": ["sidebar/brand.html", "sidebar/language.html", "sidebar/search.html", "sidebar/scroll-start.html",
           "sidebar/navigation.html", "sidebar/scroll-end.html"]
}
pygments_style = "friendly"
pygments_dark_style = "monokai"


class ChineseSearch(SearchLanguage):
    """Chinese without a dictionary: a run of Han characters is indexed, and searched, as its pairs of
    neighbours. Text and query are cut alike, which word segmenters do not promise, and nothing needs a
    server. Latin words are as they stand, in lower case."""

    lang = "zh"
    language_name = "Chinese"
    js_splitter_code = r"""
function splitQuery(query) {
  const terms = [];
  for (const [run] of query.toLowerCase().matchAll(/[\u3400-\u9fff]+|[a-z0-9_]+/g)) {
    if (!/[\u3400-\u9fff]/.test(run) || run.length < 2) {
      terms.push(run);
    } else {
      for (let i = 0; i + 1 < run.length; i++) terms.push(run.slice(i, i + 2));
    }
  }
  return terms;
}
"""
    _run = re.compile(r"[\u3400-\u9fff]+|[a-z0-9_]+")

    def split(self, input):
        terms = []
        for run in self._run.findall(input.lower()):
            if "\u3400" <= run[0] <= "\u9fff":
                terms += list(run) + [run[i : i + 2] for i in range(len(run) - 1)]
            else:
                terms.append(run)
        return terms


class LinksToTree(SphinxPostTransform):
    """What links to folders and pages of the repository is plain text on the site, which has neither."""

    default_priority = 8  # before MyST resolves links

    def run(self, **kwargs):
        for node in list(self.document.findall(addnodes.pending_xref)):
            target = str(node.get("reftarget", ""))
            if node.get("reftype") == "myst" and (target.startswith("../") or target.startswith("/")):
                node.replace_self(nodes.inline("", "", *node.children))


class PythonApi(Directive):
    """What a package exports (__all__), as its source declares it: signatures, fields and docstrings, no bodies.
    Read and not imported, so that the site needs no library."""

    required_arguments = 1

    def run(self):
        package = (pathlib.Path(__file__).parent / self.arguments[0]).resolve()
        found = {}
        for path in sorted(package.glob("*.py")):
            self.state.document.settings.record_dependencies.add(str(path))
            source = path.read_text(encoding="utf-8")
            for node in ast.parse(source).body:
                if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                    found[node.name] = listing(node, source.splitlines())
        names = ast.literal_eval(re.search(r"__all__ = (\[.*?\])", (package / "__init__.py").read_text(), re.S)[1])
        return [nodes.literal_block("", found[name], language="python") for name in sorted(names)]


def listing(node, lines):
    """The declaration of a class or a function."""
    first = min([node.lineno] + [decorator.lineno for decorator in node.decorator_list])
    body = node.body
    out = lines[first - 1 : body[0].lineno - 1]
    if ast.get_docstring(node) is not None:
        out += lines[body[0].lineno - 1 : body[0].end_lineno]
        body = body[1:]
    if isinstance(node, ast.ClassDef):
        for one in body:
            hidden = getattr(one, "name", "").startswith("_") and getattr(one, "name", "") != "__init__"
            if isinstance(one, ast.AnnAssign):
                out += lines[one.lineno - 1 : one.end_lineno]
            elif isinstance(one, ast.FunctionDef) and not hidden:
                out += [""] + listing(one, lines).split("\n")
    return "\n".join(out)


def add_toctrees(app, docname, source):
    """The site's navigation is the tables of index.md: each heading with the pages that its table names."""
    if docname == "index":
        for section in re.split(r"^## ", source[0], flags=re.M)[1:]:
            pages = re.findall(r"^\| \[.*?\]\((\S+)\.md\)", section, re.M)
            caption = section.split("\n")[0]
            source[0] += "\n\n:::{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(pages) + "\n:::\n"


def setup(app):
    app.connect("source-read", add_toctrees)
    app.add_directive("python-api", PythonApi)
    app.add_search_language(ChineseSearch)
    app.add_post_transform(LinksToTree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
