"""Put CloudFront's functions into the template: ``python infra/aws/embed.py`` after a change of either.

CloudFormation takes a function's code as text only. Two constants of ``request.js`` become the stack's
parameters on the way; a test holds the template to the files.
"""

import re
from pathlib import Path

HERE = Path(__file__).parent
TEMPLATE = HERE / "depthcast.yaml"

CONSTANTS = {
    "const LIMITS = [5,10,20,50,100,500,1000,5000];": "const LIMITS = [${Limits}];",
    "const SERVER = 'server';": "const SERVER = '${ServerOrigin}';",
}


def code(name: str) -> str:
    """A function's code as the template has it. Raises ``ValueError`` where that would change it."""
    text = (HERE / name).read_text("utf-8")
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
