"""The SROS2 policy as a table: enclave → node → what it may do."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

POLICY = Path(__file__).parents[1] / 'security' / 'policy.xml'
PREFIX = '/spatial_rag/'
"""Of all enclaves."""
KINDS = {'subscribe': 'topics', 'publish': 'topics', 'reply': 'services', 'request': 'services'}
"""What a node may do → the element of the policy that says so."""

Rights = dict[str, frozenset[str]]
"""subscribe, publish, reply, request → names, as the policy writes them."""
Policy = dict[str, dict[str, Rights]]
"""Enclave without PREFIX → node → its rights."""


def written_name(name: str, node: str, namespace: str) -> str:
    """
    Return a name of the graph as the policy writes it: ~/… and relative, or absolute.

    The namespace of the profile is put before a relative name by whoever reads the policy.
    """
    inside = namespace.rstrip('/') + '/'
    for prefix, short in ((f'{inside}{node}/', '~/'), (inside, '')):
        if name.startswith(prefix) and (short or inside != '/'):
            return short + name.removeprefix(prefix)
    return name


def read_policy(path: Path = POLICY) -> Policy:
    """Read all enclaves; other qualifiers than ALLOW are not in use here."""
    root = ElementTree.parse(path).getroot()
    return {str(enclave.get('path')).removeprefix(PREFIX):
            {str(profile.get('node')): _rights(profile) for profile in enclave.iter('profile')}
            for enclave in root.iter('enclave')}


def _rights(profile: ElementTree.Element) -> Rights:
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for group in profile:
        for kind, qualifier in group.attrib.items():
            assert qualifier == 'ALLOW', ElementTree.tostring(group)
            found[kind] |= {str(entry.text) for entry in group}
    return {kind: frozenset(names) for kind, names in found.items()}


def write_policy(policy: Policy, path: Path = POLICY) -> None:
    """Replace the enclaves; the comment at the head of the file stays as it is."""
    builder = ElementTree.TreeBuilder(insert_comments=True)
    root = ElementTree.parse(path, ElementTree.XMLParser(target=builder)).getroot()
    enclaves = root.find('enclaves')
    assert enclaves is not None
    enclaves.clear()
    for name, profiles in policy.items():
        enclave = ElementTree.SubElement(enclaves, 'enclave', path=PREFIX + name)
        parent = ElementTree.SubElement(enclave, 'profiles')
        for node, rights in profiles.items():
            _add_profile(parent, node, rights)
    ElementTree.indent(root)
    path.write_text('<?xml version="1.0" encoding="UTF-8"?>\n'
                    f'{ElementTree.tostring(root, encoding="unicode")}\n')


def _add_profile(parent: ElementTree.Element, node: str, rights: Rights) -> None:
    profile = ElementTree.SubElement(parent, 'profile', ns='/', node=node)
    for kind, group in KINDS.items():
        if rights.get(kind):
            names = ElementTree.SubElement(profile, group, {kind: 'ALLOW'})
            for name in sorted(rights[kind]):
                ElementTree.SubElement(names, group.removesuffix('s')).text = name
