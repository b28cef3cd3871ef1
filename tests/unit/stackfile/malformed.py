"""More than a hundred stack files that are wrong, each with the place where a person has to look.

A place is `line:column path`; what a file as a whole is refused for has no path.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wrong:
    name: str
    text: bytes
    place: str
    reason: str  # a part of it


def _file(name: str, text: str | bytes, place: str, reason: str) -> Wrong:
    return Wrong(name, text.encode() if isinstance(text, str) else text, place, reason)


def _service(name: str, line: str, place: str, reason: str, rest: str = "") -> Wrong:
    """A service of one more line, which is the file's fourth; the place's line is left out where it is that one."""
    column, _, path = place.partition(" ")
    return _file(name, f"services:\n  web:\n    image: app:1\n    {line}\n{rest}", f"4:{column} services.web.{path}", reason)


_BOMB = "\n".join(
    ["x-a: &a [x, x, x, x, x, x, x, x, x, x]"]
    + [f"x-{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefg", "bcdefgh", strict=True)]
    + ["services: {web: {image: x}}"]
)
_MERGE_BOMB = "\n".join(
    ["x-a: &a {k: [x, x, x, x, x, x, x, x, x, x]}"]
    + [
        f"x-{new}: &{new} {{{', '.join(f'k{n}: {{<<: *{old}}}' for n in range(10))}}}"
        for old, new in zip("abcdef", "bcdefg", strict=True)
    ]
)
_DEEP_BY_ALIASES = "x-a: &a0 [x]\n" + "".join(f"x-{n}: &a{n} {'[' * 62}*a{n - 1} {']' * 62}\n" for n in range(1, 50))

READING = [
    _file("empty", "", "1:1", "is empty"),
    _file("only a comment", "# nothing\n", "1:1", "is empty"),
    _file("only null", "~\n", "1:1", "must be a mapping"),
    _file("a list", "- services\n", "1:1", "must be a mapping"),
    _file("a scalar", "services", "1:1", "must be a mapping"),
    _file("truncated in a flow mapping", "services: {web: {image: x", "1:26", "flow mapping"),
    _file("truncated in a quote", 'services:\n  web:\n    image: "app', "3:16", "quoted scalar"),
    _file("truncated after a key", "services:\n  web", "2:3 services", "must be a mapping"),
    _file("a tab as indentation", "services:\n\tweb:\n", "2:1", "tab"),
    _file("a stray bracket", "services: ]\n", "1:11", "did not find expected"),
    _file("a mapping inside a scalar", "services:\n  web: image: x\n", "2:13", "mapping values are not allowed"),
    _file("wrong indentation", "services:\n  web:\n    image: x\n   tty: true\n", "4:4", "did not find expected"),
    _file("an unknown escape", 'services: {web: {image: "\\q"}}\n', "1:26", "unknown escape"),
    _file("a lone percent", "%\nservices: {}\n", "1:2", "directive"),
    _file("a reserved character", "services:\n  web: @x\n", "2:8", "cannot start any token"),
    _file("an executable", b"\x7fELF\x02\x01\x01\x00\x00\x00", "1:1", "control character"),
    _file("a control character", "services:\n  web: {image: a\x01b}\n", "2:17", "control character"),
    _file("latin-1", b"services:\n  caf\xe9: {image: x}\n", "2:6", "not valid UTF-8"),
    _file("an image file", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "1:1", "not valid UTF-8"),
    _file("half of an UTF-16 character", b"\xff\xfes\x00\x00\xd8", "1:2", "not valid UTF-16"),
    _file("BOM before a fault", b"\xef\xbb\xbfservices: [", "1:12", "flow node"),
    _file("huge", b"#" * (1024 * 1024 + 1), "1:1", "larger than 1024 KiB"),
    _file("deep lists", "x-a: " + "[" * 100, "1:69", "nested deeper than 64 levels"),
    _file("very deep lists", "x-a: " + "[" * 500_000, "1:69", "nested deeper than 64 levels"),
    _file("deep mappings", "x-a: " + "{a: " * 100_000, "1:258", "nested deeper than 64 levels"),
    _file("deep block lists", "- " * 100_000 + "x", "1:129", "nested deeper than 64 levels"),
    _file("deep by aliases", _DEEP_BY_ALIASES, "3:72", "nested deeper than 64 levels, aliases expanded"),
    _file("an alias bomb", _BOMB, "5:38", "holds more than 100000 values"),
    _file("a merge bomb", _MERGE_BOMB, "5:75", "holds more than 100000 values"),
    _file("too many values", "x-a: [" + "a," * 120_000 + "]", "1:200001", "holds more than 100000 values"),
    _file("an unknown alias", "services: *nothing\n", "1:11", "there is no anchor &nothing"),
    _file("an alias of itself", "services: &s\n  web: *s\n", "2:8", "contains itself"),
    _file("a merge of itself", "services: &s\n  <<: *s\n", "2:7", "contains itself"),
    _file("duplicate services", "services:\n  web: {image: a}\n  web: {image: b}\n", "3:3 services.web", "twice"),
    _file("duplicate sections", "services: {}\nservices: {}\n", "2:1 services", "twice"),
    _file("a duplicate in a flow", "services: {web: {image: a, image: b}}\n", "1:28 services.web.image", "twice"),
    _file(
        "two merge keys",
        "x-a: &a {}\nservices:\n  web:\n    image: x\n    <<: *a\n    <<: *a\n",
        "3:3 services.web",
        "two merge keys",
    ),
    _file("a merge of text", "services:\n  web:\n    <<: text\n    image: x\n", "2:3 services.web", "merge key"),
    _file("a merge of a list with text", "services:\n  web:\n    <<: [text]\n    image: x\n", "2:3 services.web", "merge key"),
    _file("a number as a key", "services:\n  web:\n    image: x\n    80: 80\n", "2:3 services.web", "`80` is not a string"),
    _file("null as a key", "services:\n  ~: {image: x}\n", "1:1 services", "`~` is not a string"),
    _file("a boolean as a key", "services:\n  true: {image: x}\n", "1:1 services", "`true` is not a string"),
    _file("a key that does not fit its tag", "services:\n  !!int web: {image: x}\n", "1:1 services", "`web` is not a string"),
    _file("a list as a key", "services:\n  ? [a]\n  : {image: x}\n", "1:1 services", "(a list) is not a string"),
    _file("a mapping as a key", "services:\n  {a: b}: {image: x}\n", "1:1 services", "(a mapping) is not a string"),
    _file("a tag that does not fit", "services: {web: {image: x, tty: !!bool 5}}", "1:33 services.web.tty", "tagged !!bool"),
    _file("bad base64", "services: {web: {image: !!binary a}}", "1:25 services.web.image", "tagged !!binary"),
]

VERSIONS = [
    _file("a number as version", "version: 3.8\nservices: {}\n", "1:10 version", "must be a string"),
    _file("an old version", 'version: "2.4"\nservices: {}\n', "1:10 version", "'2.4' is not a version"),
    _file("a future version", 'version: "3.14"\n', "1:10 version", "'3.14' is not a version"),
    _file("a word as version", "version: latest\n", "1:10 version", "'latest' is not a version"),
    _file("a key before its time", 'version: "3.0"\nconfigs:\n  a: {external: true}\n', "2:1 configs", "3.3"),
    _file("init before 3.7", 'version: "3.6"\nservices:\n  a: {image: x, init: true}\n', "3:17 services.a.init", "3.7"),
    _file("x- before 3.4", 'version: "3.3"\nx-a: 1\n', "2:1 x-a", "3.4"),
    _file("x- in a service before 3.7", 'version: "3.6"\nservices: {a: {image: x, x-a: 1}}\n', "2:26 services.a.x-a", "3.7"),
]

SHAPE = [
    _file("name of Compose", "name: demo\nservices: {}\n", "1:1 name", "not a key"),
    _file("a misspelt section", "servcies: {}\n", "1:1 servcies", "not a key"),
    _file("services without a value", "services:\n", "1:1 services", "must be a mapping"),
    _file("services as a list", "services: [web]\n", "1:1 services", "must be a mapping"),
    _file("volumes without a value", "volumes:\n", "1:1 volumes", "must be a mapping"),
    _file("a service without a value", "services:\n  web:\n", "2:3 services.web", "it has no value"),
    _file("a service that is text", "services:\n  web: nginx\n", "2:8 services.web", "must be a mapping"),
    _file("a service's name with a blank", "services:\n  a b: {image: x}\n", "2:3 services.a b", "letters, digits"),
    _file("a config without a value", "configs:\n  a:\n", "2:3 configs.a", "must be a mapping"),
    _file("no image", "services:\n  web: {tty: true}\n", "2:3 services.web.image", "is required"),
    _file("a build only", "services:\n  web: {build: .}\n", "2:3 services.web.image", "is required"),
    _service("an unknown key", "imgae: x", "5 imgae", "not a key"),
    _service("profiles of Compose", "profiles: [a]", "5 profiles", "not a key"),
    _service("platform of Compose", "platform: linux/arm64", "5 platform", "not a key"),
    _service("an upper-case X- key", "X-a: 1", "5 X-a", "not a key"),
    _service("x- under deploy", "deploy: {x-a: 1}", "14 deploy.x-a", "not a key"),
    _service("extends", "extends: {service: a}", "5 extends", "use several -c files"),
    _service("mem_limit", "mem_limit: 1g", "5 mem_limit", "deploy.resources.limits.memory"),
    _service("a boolean in environment", "environment: {A: true}", "22 environment.A", "not true"),
    _service("a list in environment", "environment: {A: [b]}", "19 environment.A", "not a list"),
    _service("a number in a list", "environment: [A=1, 5]", "5 environment", "5 is none, quote it"),
    _service("text as environment", "environment: A=1", "18 environment", "must be a mapping or a list"),
    _service("a duplicate in a list", "labels: [a=1, a=1]", "5 labels", "holds 'a=1' twice"),
    _service("depends_on as a mapping", "depends_on: {db: {}}", "5 depends_on", "must be a list; this is a mapping"),
    _service("text for a boolean", 'tty: "yes"', "10 tty", "must be true or false; this is a string"),
    _service("a number for text", "hostname: 5", "15 hostname", "must be a string; this is a number, quote it"),
    _service("a date for text", "hostname: 2024-01-01", "15 hostname", "this is a timestamp, quote it"),
    _service("a boolean for text", "user: true", "11 user", "this is a boolean, quote it"),
    _service("nothing for text", "user:", "5 user", "it has no value"),
    _service("negative replicas", "deploy: {replicas: -1}", "24 deploy.replicas", "must be 0 or more"),
    _service("fractional replicas", "deploy: {replicas: 1.5}", "24 deploy.replicas", "must be an integer"),
    _service("text replicas", "deploy: {replicas: three}", "24 deploy.replicas", "must be an integer"),
    _service(
        "an unknown order",
        "deploy: {update_config: {order: both}}",
        "37 deploy.update_config.order",
        "'start-first' or 'stop-first'",
    ),
    _service("numeric cpus", "deploy: {resources: {limits: {cpus: 0.5}}}", "41 deploy.resources.limits.cpus", "quote it"),
    _service(
        "devices of Compose",
        "deploy: {resources: {reservations: {devices: []}}}",
        "41 deploy.resources.reservations.devices",
        "not a key",
    ),
    _service("a fault in cpus", "deploy: {resources: {limits: {cpus: a}}}", "41 deploy.resources.limits.cpus", "number of CPUs"),
    _service("cpus too fine", 'deploy: {resources: {limits: {cpus: "1/3"}}}', "41 deploy.resources.limits.cpus", "billionth"),
    _service(
        "a fault in memory",
        "deploy: {resources: {limits: {memory: 1x}}}",
        "43 deploy.resources.limits.memory",
        "'1x' is not a size",
    ),
    _service(
        "an impossible size",
        "deploy: {resources: {limits: {memory: 9999999999p}}}",
        "43 deploy.resources.limits.memory",
        "larger",
    ),
    _service("a fault in a duration", "stop_grace_period: 10", "24 stop_grace_period", "must be a string"),
    _service("a duration without a unit", 'stop_grace_period: "10"', "24 stop_grace_period", "is not a duration"),
    _service("a duration in days", "healthcheck: {interval: 1d}", "29 healthcheck.interval", "is not a duration"),
    _service("healthcheck as text", "healthcheck: curl", "18 healthcheck", "must be a mapping"),
    _service("test and disable", "healthcheck: {test: a, disable: true}", "37 healthcheck.disable", "contradicts the test"),
    _service("an open quote", "command: a 'b", "14 command", "is not closed"),
    _service("a last backslash", "command: a \\", "14 command", "ends after a backslash"),
    _service("half of ulimits", "ulimits: {nofile: {soft: 1}}", "15 ulimits.nofile.hard", "is required"),
    _service("text ulimits", "ulimits: {nofile: many}", "23 ulimits.nofile", "must be a mapping; this is a string"),
    _service("a mount without a type", "volumes: [{target: /a}]", "15 volumes[0].type", "is required"),
    _service("two credential specs", "credential_spec: {file: a, registry: b}", "5 credential_spec", "one of file and registry"),
]

SHORT_FORMS = [
    _service("a port of text", "ports: [http]", "13 ports[0]", "'http' is not a container port"),
    _service("a port too high", 'ports: ["70000:80"]', "13 ports[0]", "'70000' is not a published port"),
    _service("a negative port", "ports: [-1]", "13 ports[0]", "is not a container port"),
    _service("ranges of unequal length", 'ports: ["80-82:80-81"]', "13 ports[0]", "3 published ports do not fit 2"),
    _service("a range backwards", 'ports: ["90-80"]', "13 ports[0]", "between 0 and 65535"),
    _service("an unknown protocol", 'ports: ["80/icmp"]', "13 ports[0]", "tcp, udp or sctp"),
    _service("a host's name at a port", 'ports: ["web:80:80"]', "13 ports[0]", "'web' is not an IP address"),
    _service("an empty port", 'ports: [""]', "13 ports[0]", "the container port is missing"),
    _service("a port twice", 'ports: ["80:80", "80:80"]', "5 ports", "holds '80:80' twice"),
    _service("a fractional port", "ports: [1.5]", "13 ports[0]", "a number, a string or a mapping"),
    _service("a published port as text", 'ports: [{target: 80, published: "80"}]', "37 ports[0].published", "must be an integer"),
    _service("a long port too high", "ports: [{target: 80, published: 70000}]", "37 ports[0].published", "65535 or less"),
    _service("an unknown key of a port", "ports: [{target: 80, name: web}]", "26 ports[0].name", "not a key"),
    _service("ports as a mapping", "ports: {80: 80}", "5 ports", "`80` is not a string"),
    _service("an empty volume", 'volumes: [""]', "15 volumes[0]", "is empty"),
    _service("an empty part", 'volumes: ["data:"]', "15 volumes[0]", "empty part"),
    _service("four parts", 'volumes: ["/aa:/bb:ro:x"]', "15 volumes[0]", "too many colons"),
    _service("a number as a volume", "volumes: [5]", "15 volumes[0]", "must be a mapping"),
    _service("a bind without a source", "volumes: [{type: bind, target: /a}]", "15 volumes[0]", "needs a source"),
    _service("an entry twice", "ports: [{target: 80}, {target: 80}]", "5 ports", "holds an entry twice"),
    _service("a list of lists twice", "expose: [[a], [a]]", "5 expose", "holds an entry twice"),
    _service("a boolean as a port to expose", "expose: [true]", "14 expose[0]", "must be a string or a number"),
    _service("hosts as text", "extra_hosts: 'a:b'", "18 extra_hosts", "must be a mapping or a list"),
    _service("a host in a list as a number", "extra_hosts: [5]", "5 extra_hosts", "5 is none, quote it"),
    _service("a host as a number", "extra_hosts: {db: 5}", "23 extra_hosts.db", "must be a string"),
]

INTERPOLATION = [
    _service("a lone dollar", 'user: "$"', "11 user", "starts no variable"),
    _service("a dollar and a digit", "user: a$1", "11 user", "starts no variable"),
    _service("an open brace", "user: ${A", "11 user", "starts no variable"),
    _service("a plus form", "user: ${A:+b}", "11 user", "starts no variable"),
    _service("a required variable", "user: ${NEEDED:?set it}", "11 user", "required variable NEEDED is missing a value: set it"),
    _service("a required variable in x-", "x-a: [1, {b: '${NEEDED?}'}]", "18 x-a[1].b", "required variable NEEDED"),
    _service("a number from no digits", "deploy: {replicas: '${N:-many}'}", "24 deploy.replicas", "'many' is not an integer"),
    _service("an empty number", "deploy: {replicas: '${N}'}", "24 deploy.replicas", "'' is not an integer"),
    _service("a boolean of one", "tty: '${T:-1}'", "10 tty", "'1' is not a boolean"),
    _service(
        "a ratio of text",
        "deploy: {update_config: {max_failure_ratio: '${R:-x}'}}",
        "49 deploy.update_config.max_failure_ratio",
        "not a number",
    ),
    _service("a variable where nothing is cast", "init: '${I:-true}'", "11 init", "must be true or false"),
]

REFERENCES = [
    _file("an invalid image", "services:\n  web: {image: 'a b'}\n", "2:16 services.web.image", "not an image reference"),
    _file("an image in capitals", "services:\n  web: {image: App}\n", "2:16 services.web.image", "lower case"),
    _file("an image with a bad tag", "services:\n  web: {image: 'a:b:c'}\n", "2:16 services.web.image", "not an image reference"),
    _file("an image with a bad digest", "services:\n  web: {image: 'a@sha256:12'}\n", "2:16 services.web.image", "digest"),
    _service("an undefined network", "networks: [back]", "16 networks[0]", "there is no network 'back'"),
    _service("an undefined volume", "volumes: ['data:/a']", "15 volumes[0]", "there is no volume 'data'"),
    _service("an undefined config", "configs: [conf]", "15 configs[0]", "there is no config 'conf'"),
    _service("an undefined secret", "secrets: [{source: key}]", "24 secrets[0].source", "there is no secret 'key'"),
    _service("an undefined credential config", "credential_spec: {config: c}", "31 credential_spec.config", "no config 'c'"),
    _service(
        "a target taken twice",
        "secrets: [{source: k, target: t}, {source: k, target: t}]",
        "39 secrets[1]",
        "taken twice",
        "secrets: {k: {external: true}}",
    ),
    _service(
        "a propagation of a volume",
        "volumes: ['vol:/a:rslave']",
        "15 volumes[0]",
        "do not go with the type volume",
        "volumes: {vol: }",
    ),
    _service("an unknown mount type", "volumes: [{type: nfs, target: /a}]", "15 volumes[0]", "the type 'nfs' is none of"),
    _service("an unknown mode", "deploy: {mode: daemon}", "20 deploy.mode", "'daemon' is no mode"),
    _service("replicas of a global service", "deploy: {mode: global, replicas: 2}", "38 deploy.replicas", "means nothing"),
    _service("an unknown restart", "restart: sometimes", "14 restart", "none of no, always"),
    _service("depends_on nobody", "depends_on: [db]", "18 depends_on[0]", "there is no service 'db'"),
    _service("depends_on itself", "depends_on: [web]", "18 depends_on[0]", "web -> web"),
    _file(
        "a circle of three",
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n",
        "2:30 services.a.depends_on[0]",
        "a -> b -> c -> a",
    ),
    _service("a missing env file", "env_file: gone.env", "15 env_file", "gone.env cannot be read: No such file"),
    _service("a missing env file of several", "env_file: [gone.env]", "16 env_file[0]", "gone.env cannot be read"),
    _file("a missing secret", "secrets:\n  key: {file: ./gone}\n", "2:15 secrets.key.file", "/srv/stack/gone cannot be read"),
    _file("a config without a file", "configs:\n  c: {}\n", "2:3 configs.c", "needs a file"),
    _file("a driver and a file", "secrets:\n  k: {driver: v, file: a}\n", "2:18 secrets.k.file", "contradicts the driver"),
    _file(
        "an external volume with a driver",
        "volumes:\n  v: {external: true, driver: d}\n",
        "2:23 volumes.v.driver",
        "contradicts external",
    ),
    _file(
        "two external names",
        "networks:\n  n: {external: {name: a}, name: b}\n",
        "2:18 networks.n.external.name",
        "contradicts the name",
    ),
    _file("a service's name with a dot", "services:\n  a.b: {image: x}\n", "2:3 services.a.b", "only letters, digits"),
    _file("a service's name too long", f"services:\n  {'a' * 62}: {{image: x}}\n", f"2:3 services.{'a' * 62}", "longer than 63"),
    _file("a secret's name too long", f"secrets:\n  {'a' * 63}: {{driver: d}}\n", f"2:3 secrets.{'a' * 63}", "up to 64"),
    _file(
        "a gateway in IPAM",
        "networks:\n  n: {ipam: {config: [{gateway: 1.2.3.4}]}}\n",
        "2:24 networks.n.ipam.config[0].gateway",
        "not a key",
    ),
    _file(
        "an option without a value", "volumes:\n  v: {driver_opts: {o: }}\n", "2:21 volumes.v.driver_opts.o", "it has no value"
    ),
    _file("options as a list", "volumes:\n  v: {driver_opts: [a=b]}\n", "2:7 volumes.v.driver_opts", "must be a mapping"),
    _file("content in a config", "configs:\n  c: {content: hello}\n", "2:7 configs.c.content", "not a key"),
]

POLICY = [
    _service("an unknown policy key", "x-prodbreaker: {drfit: revert}", "21 x-prodbreaker.drfit", "not a key"),
    _service("policy as text", "x-prodbreaker: revert", "20 x-prodbreaker", "must be a mapping"),
    _service("policy without a value", "x-prodbreaker:", "5 x-prodbreaker", "it has no value"),
    _service("an unknown drift mode", "x-prodbreaker: {drift: undo}", "28 x-prodbreaker.drift", "revert, report, ignore"),
    _service(
        "an unknown ignored field", "x-prodbreaker: {ignore: [replicas]}", "30 x-prodbreaker.ignore[0]", "'replicas' is no field"
    ),
    _service(
        "a key below a plain field",
        "x-prodbreaker: {ignore: [image.tag]}",
        "30 x-prodbreaker.ignore[0]",
        "'image.tag' is no field",
    ),
    _service("an ignored field as text", "x-prodbreaker: {ignore: image}", "29 x-prodbreaker.ignore", "must be a list"),
    _service(
        "no time to roll back",
        "x-prodbreaker: {rollback: {deadline: 0s}}",
        "42 x-prodbreaker.rollback.deadline",
        "longer than 0s",
    ),
    _service(
        "a negative time",
        "x-prodbreaker: {rollback: {min_healthy: -1s}}",
        "45 x-prodbreaker.rollback.min_healthy",
        "0s or longer",
    ),
    _service(
        "a time of words", "x-prodbreaker: {rollback: {deadline: soon}}", "42 x-prodbreaker.rollback.deadline", "not a duration"
    ),
    _service("keeping nothing", "x-prodbreaker: {rollback: {keep: 0}}", "38 x-prodbreaker.rollback.keep", "must be 1 or more"),
    _service(
        "a budget of nothing", "x-prodbreaker: {budget: {actions: 0}}", "39 x-prodbreaker.budget.actions", "must be 1 or more"
    ),
    _service(
        "a budget of text", "x-prodbreaker: {budget: {actions: few}}", "39 x-prodbreaker.budget.actions", "must be an integer"
    ),
    _service(
        "an alert without a match",
        "x-prodbreaker: {alerts: [{action: restart}]}",
        "30 x-prodbreaker.alerts[0].match",
        "is required",
    ),
    _service(
        "an alert that matches all",
        "x-prodbreaker: {alerts: [{match: {}}]}",
        "31 x-prodbreaker.alerts[0].match",
        "at least one label",
    ),
    _service(
        "an unknown action",
        "x-prodbreaker: {alerts: [{match: {a: b}, action: reboot}]}",
        "54 x-prodbreaker.alerts[0].action",
        "notify, restart, scale, rollback",
    ),
    _service(
        "a match on a number",
        "x-prodbreaker: {alerts: [{match: {a: 5}}]}",
        "42 x-prodbreaker.alerts[0].match.a",
        "must be a string",
    ),
    _file("an unknown stack policy", "x-prodbreaker: {purge: true}\n", "1:17 x-prodbreaker.purge", "not a key"),
    _file("prune as text", "x-prodbreaker: {prune: 'yes'}\n", "1:24 x-prodbreaker.prune", "must be true or false"),
]

MALFORMED = [*READING, *VERSIONS, *SHAPE, *SHORT_FORMS, *INTERPOLATION, *REFERENCES, *POLICY]
