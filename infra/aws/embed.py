"""Put CloudFront's functions into the template: ``python infra/aws/embed.py`` after a change of either.

CloudFormation takes a function's code as text only. Three constants of ``request.js`` become the stack's
parameters on the way; a test holds the template to the files.

The template may have 51,200 bytes and a function 10,000, so what people read and machines do not is left
out: comments, indentation and the ends of lines. That is safe for code like ours, of which every statement
ends with a semicolon or a brace, and no comment stands behind code; the tests run what is made of it.
"""

import re
from pathlib import Path

HERE = Path(__file__).parent
TEMPLATE = HERE / "depthcast.yaml"

CONSTANTS = {
    "const LIMITS = [5,10,20,50,100,500,1000,5000];": "const LIMITS = [${Limits}];",
    "const VENUES = 'binance'.split(',');": "const VENUES = '${Venue}'.split(',');",
    "const SERVER = 'server';": "const SERVER = '${ServerOrigin}';",
}

LINE = 110
"""About so long are the template's lines of code."""


def packed(text: str) -> str:
    """Code without comments and indentation, in few lines.

    >>> packed("// says\\nfunction f() {\\n    return 1;\\n}\\n")
    'function f() {return 1;}\\n'
    """
    lines, line = [], ""
    for each in map(str.strip, text.splitlines()):
        if not each or each.startswith("//"):
            continue
        # A word that begins a line must not become part of the one before it.
        apart = " " if line and (line[-1] + each[0]).replace("_", "a").replace("$", "a").isalnum() else ""
        full = len(line) + len(each) > LINE and line.endswith((";", "{", "}", ","))
        if full or line.startswith("import "):
            lines.append(line)
            line = each
        else:
            line += apart + each
    return "\n".join([*lines, line, ""])


def code(name: str) -> str:
    """A function's code as the template has it. Raises ``ValueError`` where that would change it."""
    text = packed((HERE / name).read_text("utf-8"))
    if "${" in text:
        raise ValueError(f"{name} holds ${{, which CloudFormation would fill in")
    if name == "request.js":
        for constant, parameter in CONSTANTS.items():
            if text.count(constant) != 1:
                raise ValueError(f"{name} does not hold {constant!r} once")
            text = text.replace(constant, parameter)
    return text


def embedded(template: str) -> str:
    """The template with the functions as they are now, each between two comments that name it."""
    for name, key in (("request.js", "- |"), ("response.js", "FunctionCode: |")):
        place = re.compile(
            rf"^(?P<indent> *)# {name} begins\n.*?^ *# {name} ends\n", re.MULTILINE | re.DOTALL
        )
        found = place.search(template)
        if found is None:
            raise ValueError(f"the template has no place for {name}")
        indent = found["indent"]
        lines = re.sub(r"^(?=.)", f"{indent}  ", code(name), flags=re.MULTILINE)
        block = f"{indent}# {name} begins\n{indent}{key}\n{lines}{indent}# {name} ends\n"
        template = template[: found.start()] + block + template[found.end() :]
    return template


if __name__ == "__main__":
    TEMPLATE.write_text(embedded(TEMPLATE.read_text("utf-8")), "utf-8")
