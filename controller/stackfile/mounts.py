"""Volumes of a service as the API's mounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from controller.model.spec import Json
from controller.stackfile.names import Namespace
from controller.stackfile.networks import real_name
from controller.stackfile.tree import Data

_OPTIONS = ("volume", "bind", "tmpfs")
_ALLOWED = {"volume": {"volume"}, "bind": {"bind"}, "tmpfs": {"tmpfs"}, "npipe": {"bind"}, "cluster": set()}


def convert_mount(mount: Data, declared: Mapping[str, Data], namespace: Namespace) -> Json:
    """One mount; raises ValueError with the reason where docker's client refuses it."""
    kind = mount.get("type") or "volume"
    convert = _CONVERTERS.get(kind)
    if convert is None:
        raise ValueError(f"the type {kind!r} is none of {', '.join(_CONVERTERS)}")
    for option in _OPTIONS:
        if option in mount and option not in _ALLOWED[kind]:
            raise ValueError(f"options of {option} do not go with the type {kind}")
    body: dict[str, Any] = {"Type": kind}
    for field, key in (("Source", "source"), ("Target", "target"), ("ReadOnly", "read_only"), ("Consistency", "consistency")):
        if mount.get(key):
            body[field] = mount[key]
    convert(body, mount, declared, namespace)
    return body


def _volume(body: dict[str, Any], mount: Data, declared: Mapping[str, Data], namespace: Namespace) -> None:
    if "Source" not in body:
        return  # anonymous
    definition = _definition(mount, declared)
    body["Source"] = real_name(mount["source"], declared, namespace)
    wanted = mount.get("volume", {})
    options: dict[str, Any] = {}
    if wanted.get("nocopy"):
        options["NoCopy"] = True
    if wanted.get("subpath"):
        options["Subpath"] = wanted["subpath"]
    if not definition.get("external", {}).get("external"):
        options["Labels"] = namespace.label(definition.get("labels"))
        if definition.get("driver") or "driver_opts" in definition:
            driver = {"Name": definition.get("driver"), "Options": definition.get("driver_opts")}
            options["DriverConfig"] = {key: value for key, value in driver.items() if value}
    body["VolumeOptions"] = options


def _bind(body: dict[str, Any], mount: Data, _declared: Mapping[str, Data], _namespace: Namespace) -> None:
    if "Source" not in body:
        raise ValueError(f"a mount of type {body['Type']} needs a source")
    if "bind" in mount:
        propagation = mount["bind"].get("propagation")
        body["BindOptions"] = {"Propagation": propagation} if propagation else {}


def _tmpfs(body: dict[str, Any], mount: Data, _declared: Mapping[str, Data], _namespace: Namespace) -> None:
    if "Source" in body:
        raise ValueError("a mount of type tmpfs has no source")
    if "tmpfs" in mount:
        size = mount["tmpfs"].get("size")
        body["TmpfsOptions"] = {"SizeBytes": size} if size else {}


def _cluster(body: dict[str, Any], mount: Data, declared: Mapping[str, Data], namespace: Namespace) -> None:
    if "Source" not in body:
        raise ValueError("a mount of type cluster needs a source")
    if not mount["source"].startswith("group:"):
        _definition(mount, declared)
        body["Source"] = real_name(mount["source"], declared, namespace)
    body["ClusterOptions"] = {}


def _definition(mount: Data, declared: Mapping[str, Data]) -> Data:
    if mount["source"] not in declared:
        raise ValueError(f"there is no volume {mount['source']!r} in this stack")
    return declared[mount["source"]]


_CONVERTERS: dict[str, Callable[[dict[str, Any], Data, Mapping[str, Data], Namespace], None]] = {
    "volume": _volume,
    "bind": _bind,
    "tmpfs": _tmpfs,
    "npipe": _bind,
    "cluster": _cluster,
}
