"""`steppe help` and `steppe help <API>`, from the declarations."""

from collections.abc import Iterator

from cli.declarations import Declaration, Declarations
from cli.words import find

USAGE = """\
steppe [--server URL] [--ca FILE] [--output json|table|yaml] <API> [key=value …]     call an API of the control plane
steppe                                                    the prompt, with completion (Tab) and history
steppe console <VM>                                       the VM's serial line in this terminal; Ctrl-] leaves it
steppe provider install [FOLDER]                          the Terraform provider, to where Terraform looks for it
steppe help [<API>]                                       list the APIs, or the parameters of one

Lists are comma separated (quote an element that holds a comma: a,"b,c"), maps are JSON, key=@file is the content of a file
(key=@@… is a text that begins with @). Queries take conditions: name=web state!=Stopped name~=web% uuid?=a,b
description=null host.name=h1 __userTag__=x, and limit, start, count, replyWithCount, sortBy, sortDirection, fields, groupBy.
Log in first: steppe LogInByAccount accountName=admin
STEPPE_SERVER (default http://127.0.0.1:8080), STEPPE_CA_FILE and STEPPE_OUTPUT stand for the options.
At the prompt also: history, more [n], save n[,n…] [file|folder], quit.
Exit status: 0 done, 1 a problem on this side, 3 refused by the control plane.
"""


def text(known: Declarations, name: str | None) -> str:
    if name is None:
        return USAGE + "\nAPIs:\n" + "".join(f"  {api}\n" for api in sorted(known.apis))
    return "\n".join(_lines(known, find(known.apis, name))) + "\n"


def _lines(known: Declarations, api: Declaration) -> Iterator[str]:
    yield api.name
    if api.doc:
        yield f"    {api.doc}"
    if api.resource:
        resource = known.resources[api.resource]
        yield f"    conditions on: {', '.join([*resource['fields'], *resource['lists']])}"
        if resource["relations"]:
            yield f"    and on those of: {', '.join(f'{name}.' for name in resource['relations'])}"
    parameters = {key: part for key, part in api.parameters.items() if key != "conditions"}
    for key, part in sorted(parameters.items(), key=lambda item: not item[1]["required"]):
        yield f"    {key}{'' if part['required'] else ' (optional)'}: {part['type']}"
