"""XML metadata of products, read without entities: a few lines could otherwise unfold to gigabytes."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from spectf_cloud.errors import InputError


def read_xml(content: bytes, source: str) -> ElementTree.Element:
    """Parse XML and strip the namespaces from all names: their addresses carry versions. Raises `InputError`."""
    upper = content[:4096].upper()
    if b"<!DOCTYPE" in upper or b"<!ENTITY" in content.upper():
        raise InputError(f"{source} defines entities, which metadata never do; do not trust this file")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{source} is not whole XML ({error}); copy or download it again") from error
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


def text_of(root: ElementTree.Element, name: str, source: str) -> str:
    """Return the text of the first element of a name, anywhere below. Raises `InputError` where there is none."""
    element = root if root.tag == name else next(root.iter(name), None)
    if element is None or not (element.text or "").strip():
        raise InputError(f"{source} has no {name}; is it complete?")
    return (element.text or "").strip()


def number_of(root: ElementTree.Element, name: str, source: str) -> float:
    """Return the number in the first element of a name. Raises `InputError` where there is none."""
    text = text_of(root, name, source)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{source}: {name} is {text[:40]!r}, not a number")
    return number
