# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No byte of a secret stays in a text, whatever its form, and what an engineer needs does."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import string
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._support.redaction import Form, redact, redact_words
from ansible_collections.accel.qat.plugins.module_utils._support.secrets import MARK

# Long enough not to be there by chance.
SECRETS = st.text(string.ascii_letters + string.digits + "!#%&*+-_", min_size=8, max_size=40).map(
    # Hypothesis tries words of the code, too.
    lambda text: f"7q{text}"
)
NAMES = (
    "token",
    "bootstrap-token",
    "agentToken",
    "K3S_TOKEN",
    "password",
    "DB_PASS",
    "registryPassword",
    "passphrase",
    "client_secret",
    "secret-access-key",
    "apiKey",
    "private_key",
    "joinKey",
    "vpn-auth",
    "credentials",
    "MYSQL_PWD",
    "DB_PW",
    "rootPw",
    "cookie",
)
ANY_NAME = st.sampled_from(NAMES)

YAML = (
    "a: 1\n{name}: {secret}\nz: 2\n",
    "a: 1\n{name}: '{secret}'\nz: 2\n",
    'a: 1\n"{name}"  :  "{secret}"  # {secret}\nz: 2\n',
    "a: 1\n{name}: |\n  first\n  {secret}\n\n  {secret}\nz: 2\n",
    "a: 1\n{name}: >-\n    {secret}\nz: 2\n",
    "a: 1\n{name}:\n  {secret}\nz: 2\n",
    "a: 1\n{name}:\n- {secret}\n- {secret}\nz: 2\n",
    "a: 1\n{name}:\n  - x: {secret}\n    y: {secret}\nz: 2\n",
    'a: 1\n{name}: "one\n{secret}"\nz: 2\n',
    "a: 1\nb: {{{name}: {secret}, c: {secret}}}\nz: 2\n",
    "a: 1\n{name}: {{b: {secret},\nc: {secret}\n}}\nz: 2\n",
    "a: 1\nargs:\n- --{name}\n- {secret}\n- --other\nz: 2\n",
    "a: 1\n? {name}\n: {secret}\nz: 2\n",
    "a: 1\nenv:\n- name: {name}\n  value: {secret}\nz: 2\n",
    "a: 1\nenv:\n- value: {secret}\n  more:\n    x: {secret}\n  name: {name}\nz: 2\n",
    "a: 1\nenv: [{{value: {secret}, name: {name}}}]\nz: 2\n",
    "# {name}: {secret}\na: 1\n# {secret}\nz: 2\n",
    "a: 1\n{name}: # a list\n- {secret}\n# more\n- {secret}\nz: 2\n",
    "a: 1\n{name}:\n# a comment\n- {secret}\n  # another\n- {secret}\nz: 2\n",
    "a: 1\n{name}: &them\n- {secret}\nz: 2\n",
    "a: 1\n{name}: !!seq # a list\n- {secret}\nz: 2\n",
    "a: 1\n{name}: ['a]',\n{secret}]\nz: 2\n",
    'a: 1\n{name}: {{b: "}}",\nc: {secret}}}\nz: 2\n',
    "a: 1\nargs:\n- --{name}\n# a comment\n- {secret}\n- --other\nz: 2\n",
    "a: 1\nenv:\n- value: {secret}\n# a comment\n  name: {name}\nz: 2\n",
    "a: 1\nenv:\n-   value: {secret}\n    name: {name}\nz: 2\n",
    "a: 1\nenv:\n- value: {secret}\n  token:\n    b\n  name: {name}\nz: 2\n",
    "a: 1\r\n{name}: |\r\n  {secret}\r\nz: 2\r\n",
)
INI = (
    "[a]\na = 1\n{name} = {secret}\nz = 2\n",
    "[a]\n{name}={secret}\n  {secret}\nz=2\n",
    "; {name} {secret}\n{name}: {secret}\nz=2\n",
)
COMMAND_LINES = (
    "/usr/bin/x --{name}={secret} --z=2",
    "/usr/bin/x --{name} {secret} --z=2",
    "/usr/bin/x --{name} '{secret}' --z=2",
    '/usr/bin/x "--{name}={secret}" --z=2',
    "/usr/bin/x -t {secret} --z=2",
    "/usr/bin/x {secret} --z=2",
    "/usr/bin/x --endpoint=https://me:{secret}@host/a --z=2",
    "/usr/bin/x --kubelet-arg={name}={secret} --z=2",
)
LOGS = (
    "{name}={secret}",
    'msg="it failed" {name}="{secret}" err="x"',
    "the {name} is {secret}",
    "{name} {secret} is not known",
    '{{"{name}":"{secret}","a":1}}',
    "value={secret} name={name}",
    '{{"value":"{secret}","name":"{name}"}}',
    "Authorization: Bearer {secret}",
    "GET https://me:{secret}@example.com/ failed",
    "GET https://example.com/?x=1&sig={secret} failed",
    "starting x with command line --other {secret}",
    "container &Container{{Env:[]EnvVar{{EnvVar{{Name:X,Value:{secret},}},}},}} start failed",
)


def there(secret: str, text: str) -> bool:
    """Whether it, or its base64, is anywhere in the text."""
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return secret in text or encoded in text


def cleaned(text: str, form: Form) -> str:
    out, count = redact(text, form)
    assert count > 0 or MARK not in out
    assert redact(text, form) == (out, count)
    return out


@given(name=ANY_NAME, text=st.sampled_from([*YAML, *INI]), secret=SECRETS, coded=st.booleans())
def test_files_with_names_and_values(name: str, text: str, secret: str, coded: bool) -> None:
    value = base64.b64encode(secret.encode()).decode() if coded else secret
    for form in (Form.PLAIN, Form.JSON):
        out = cleaned(text.format(name=name, secret=value), form)
        assert not there(secret, out)
        assert "z: 2" in out.replace("=", ": ").replace(" : ", ": ") or "{" in text or "? " in text


@given(name=ANY_NAME, secret=SECRETS, indent=st.sampled_from([None, 2]), coded=st.booleans())
def test_json(name: str, secret: str, indent: int | None, coded: bool) -> None:
    value = base64.b64encode(secret.encode()).decode() if coded else secret
    documents: tuple[t.Any, ...] = (
        {"a": 1, name: value},
        {"a": [{"b": {name: [value, {"c": value}]}}]},
        {"a": {"name": name, "value": value}},
        {"env": [{"value": value, "name": name}]},
        {"args": [f"--{name}", value, f"--{name}={value}"]},
        {"text": f"a: 1\n{name}: |\n  {value}\n"},
        {"text": json.dumps({name: value})},
        {"url": f"https://me:{value}@example.com"},
        {name: {value: {"x": 1}}},
    )
    for document in documents:
        for text in (json.dumps(document, indent=indent), json.dumps(document, indent=indent)[:-1]):
            assert not there(secret, cleaned(text, Form.JSON)), text


@given(name=ANY_NAME, line=st.sampled_from(COMMAND_LINES), secret=SECRETS)
def test_command_lines(name: str, line: str, secret: str) -> None:
    text = line.format(name=name, secret=secret)
    for out in (
        cleaned(text, Form.WORDS),
        cleaned(f"[Service]\nExecStart={text}\n", Form.UNIT),
        cleaned(f"[Service]\nExecStart=/usr/bin/x \\\n  # a comment\n{text}\n", Form.UNIT),
        cleaned(f"[Service]\nExecStartPre=-{text}\n", Form.FOREIGN_UNIT),
        cleaned(f'KUBELET_EXTRA_ARGS="{text.replace(chr(34), "")}"\n', Form.ENVIRONMENT),
    ):
        assert not there(secret, out)
    assert "--z=2" in cleaned(text, Form.WORDS)
    kept, _count = redact_words(["/usr/bin/x", f"--{name}", secret, f"-{name}={secret}", "--z=2"])
    assert not there(secret, "\0".join(kept))
    assert kept[-1] == "--z=2"


@given(name=ANY_NAME, secret=SECRETS)
def test_variables(name: str, secret: str) -> None:
    variable = name.replace("-", "_")
    text = "\n".join(
        (
            f"{variable}={secret}",
            f"export {variable}='{secret}'",
            f'{variable}="a\n{secret}"',
            f"WHATEVER={secret}",
            f"HTTP_PROXY=http://me:{secret}@proxy:3128",
            f"https_proxy=me:{secret}@proxy:3128",
            f"KUBELET_EXTRA_ARGS=--{name} {secret} --v=2",
            f"# {secret}",
            f"{secret}",
            "NO_PROXY=10.0.0.0/8,.local",
            "",
        )
    )
    out = cleaned(text, Form.ENVIRONMENT)
    assert not there(secret, out)
    assert "NO_PROXY=10.0.0.0/8,.local\n" in out
    unit = "[Service]\n" + "".join(
        (
            f"Environment={variable}={secret}\n",
            f"Environment=\"A={secret}\" 'B={secret}' KUBELET_X=--v=2\n",
            f"Environment=HTTPS_PROXY=http://me:{secret}@proxy:3128\n",
            f"Environment=A=1 \\\n  B={secret}\n",
            f'Environment="A={secret}\n',
            f"SetCredential=x:{secret}\n",
            f"# {secret}\n",
        )
    )
    out = cleaned(unit, Form.UNIT)
    assert not there(secret, out)
    assert '"KUBELET_X=--v=2"' in out


@given(secret=SECRETS)
def test_kernel_arguments(secret: str) -> None:
    line = f'ro intel_iommu=on,sm_on rd.luks.key={secret} a="x {secret}" "b={secret} y" systemd.set_credential=x:{secret} {secret}'
    line += f" netroot=iscsi:me:{secret}@10.0.0.1::::x inst.ks=https://me:{secret}@h/k vfio-pci.ids=8086:4941 quiet -- {secret}"
    out = cleaned(line, Form.KERNEL)
    assert not there(secret, out)
    assert out.startswith(f"ro intel_iommu=on,sm_on rd.luks.key={MARK} ")
    assert "vfio-pci.ids=8086:4941 quiet -- " in out
    files = "\n".join(
        (
            f'GRUB_CMDLINE_LINUX="{line.replace(chr(34), "")}"',
            f"GRUB_CMDLINE_LINUX_DEFAULT='intel_iommu=on \\\n rd.luks.key={secret}'",
            f"GRUB_PASSWORD={secret}",
            f"password root {secret}",
            f"password_pbkdf2 root grub.pbkdf2.sha512.10000.{secret}",
            f"menuentry 'Linux' --users {secret} {{",
            f"\tlinux\t/vmlinuz root=UUID=0d3b7c1e ro rd.luks.key={secret}",
            f"options root=/dev/sda1 rd.luks.key={secret}",
            f'set kernelopts="ro rd.luks.key={secret} "',
            f"# {secret}",
        )
    )
    out = cleaned(files, Form.BOOT)
    assert not there(secret, out)
    assert "linux\t/vmlinuz root=UUID=0d3b7c1e ro rd.luks.key=" in out
    assert "menuentry 'Linux'" in out


def headers(secret: str) -> tuple[str, ...]:
    return (
        f"a: 1\nAuthorization: [{secret}]\n",
        f"a: 1\nAuthorization:\n- {secret}\n",
        json.dumps({"Authorization": [secret]}),
        json.dumps({"authorization": {"basic": secret}}),
        f'2026-11-29T10:05:30+0000 n kubelet[8]: http.Header{{"Authorization":[]string{{"{secret}"}}}}',
        f"2026-11-29T10:05:30+0000 n kubelet[8]: map[Authorization:[{secret}]]",
    )


@given(secret=SECRETS)
def test_a_header_is_one_with_its_values_in_a_list_too(secret: str) -> None:
    for text in headers(secret):
        for form in (Form.PLAIN, Form.JSON, Form.LOG):
            if form is Form.JSON or not text.startswith("{"):
                assert not there(secret, cleaned(text, form))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("pw: hunter2\n", Form.PLAIN),
        ('{"cni": "{\\"pw\\": \\"hunter2\\"}"}', Form.JSON),
        ("the command is app --pw hunter2", Form.LOG),
        ("GET /?x=pass%3Dhunter2 HTTP/1.1", Form.LOG),
        ("ro root=/dev/sda1 rootflags=username=me,password=hunter2 quiet", Form.KERNEL),
        ("ro root=nfs:x,pass=hunter2 quiet", Form.KERNEL),
    ],
)
def test_shorter_names(text: str, form: Form) -> None:
    assert "hunter2" not in cleaned(text, form)


HEADS = (
    "2026-11-29T10:05:30+0000 node kubelet[812]: ",
    "[   12.345678] ",
    "",
    "2026-11-29T10:05:30+0000 node kubelet[812]: E1129 10:05:30.1 812 a.go:5] ",
)


@given(name=ANY_NAME, said=st.sampled_from(LOGS), secret=SECRETS, head=st.sampled_from(HEADS))
def test_logs(name: str, said: str, secret: str, head: str) -> None:
    text = f"{head}the first line\n{head}{said.format(name=name, secret=secret)}\n{head}the last line\n"
    out = cleaned(text, Form.LOG)
    assert not there(secret, out)
    assert "the first line" in out


@given(name=ANY_NAME, secret=SECRETS)
def test_messages_of_several_lines(name: str, secret: str) -> None:
    head = HEADS[0]
    lines = ("the first line", f"{name}: |", f"  {secret}", f"  {secret}", "I1129 10:05:31.1 812 a.go:5] the last line")
    for between in (f"\n{head}", "\n" + " " * len(head)):
        out = cleaned(head + between.join(lines), Form.LOG)
        assert not there(secret, out)
        assert "the first line" in out
        assert "the last line" in out


SHAPES = {
    "jwt": "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl",
    "bootstrap token": "abcdef.0123456789abcdef",
    "token of K3s": "K10" + "0a1b" * 16 + "::server:0123456789abcdef",
    "crypt": "$6$rounds=5000$saltsalt$" + "aB3" * 20,
    "random": "q7Lr0VxP2mZk9TbW4sYd8HcJ1nFg",
    "certificate in base64": "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ",
    "github": "ghp_" + "a1B2" * 9,
    "aws": "AKIAIOSFODNN7EXAMPLE",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", ["a: {}\n", '{{"a": "{}"}}', "x {} y\n", "--a={} --b", "A={}\n", "https://h/{}\n"])
def test_what_shows_by_itself_that_it_is_a_secret(shape: str, text: str) -> None:
    for form in Form:
        assert SHAPES[shape] not in cleaned(text.format(SHAPES[shape]), form), form


KEY = "\n".join(
    [
        "-----BEGIN RSA PRIVATE KEY-----",
        *["MIIEpAIBAAKCAQEA" + "x9Yz" * 12] * 3,
        "q1w2E3==",
        "-----END RSA PRIVATE KEY-----",
    ]
)


@pytest.mark.parametrize("form", [Form.PLAIN, Form.JSON, Form.LOG, Form.WORDS, Form.UNIT, Form.BOOT])
def test_keys_of_pem(form: Form) -> None:
    texts = {
        "whole": f"a: 1\n{KEY}\nz: 2\n",
        "indented": "a: |\n" + "".join(f"    {line}\n" for line in KEY.split("\n")),
        "without its end": f"a: 1\n{KEY[:120]}\n",
        "without its beginning": KEY.partition("\n")[2][20:],
        "in one line": "x" + KEY.replace("\n", "\\n"),
        "in JSON": json.dumps({"a": KEY, "b": 1}),
        "in a journal": "".join(f"{HEADS[0]}{line}\n" for line in KEY.split("\n")),
        "in a journal, indented": HEADS[0] + ("\n" + " " * len(HEADS[0])).join(KEY.split("\n")),
    }
    for what, text in texts.items():
        out = cleaned(text, form)
        for part in ("x9Yzx9Yz", "MIIEpA", "q1w2E3"):
            assert part not in out, (what, part)


# What is of use stays.

CONFIGURATION = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous:
    enabled: false
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
authorization:
  mode: Webhook
cpuManagerPolicy: static
topologyManagerPolicy: single-numa-node
featureGates:
  KubeletServiceAccountTokenForCredentialProviders: true
  TopologyManager: true
clusterDNS:
- 10.96.0.10
evictionHard: {memory.available: "100Mi", nodefs.available: "10%"}
systemReserved:
  cpu: 500m
"""


def test_a_configuration_of_kubelet_stays_as_it_is() -> None:
    assert redact(CONFIGURATION, Form.JSON) == (CONFIGURATION, 0)


def test_the_rules_of_a_node_stay_as_they_are() -> None:
    rules = {"devices": [{"select": {"address": ["0000:6b:00.0"]}, "services": ["sym", "asym"], "vfs": 16}]}
    out, count = redact(json.dumps(rules), Form.JSON)
    assert (json.loads(out), count) == (rules, 0)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (
            "BOOT_IMAGE=/vmlinuz-6.12 root=UUID=0d3b-7c1e ro quiet intel_iommu=on iommu=pt hugepagesz=1G hugepages=4",
            Form.KERNEL,
        ),
        (
            '2026-11-29T10:05:30+0000 n kubelet[8]: I1129 10:05:30.1 8 manager.go:5] "Got registration" resourceName="qat.intel.com/cy"',
            Form.LOG,
        ),
        ("[   12.345678] vfio-pci 0000:6b:00.1: enabling device (0140 -> 0142)", Form.LOG),
        ("[   12.345678] iommu: Default domain type: Passthrough (set via kernel command line)", Form.PLAIN),
        ("Result=success\nExecMainStartTimestamp=\nExecMainExitTimestamp=\nNRestarts=0\n", Form.PLAIN),
        (
            "ActiveState=active\nFragmentPath=/lib/systemd/system/kubelet.service\nAfter=network.target qat-node.service\n",
            Form.PLAIN,
        ),
        ('qat_device_plugin_vfs{resource="qat.intel.com/cy",health="healthy"} 16.0\n', Form.PLAIN),
        ("containerID=containerd://" + "0a1b2c3d" * 8, Form.LOG),
        ("--anonymous-auth=false\n--authentication-token-webhook=true\n--feature-gates=A=true\n", Form.WORDS),
        ("--cpu-manager-policy static --reserved-cpus 0-3,8 --feature-gates A=true,B=false --v 2", Form.WORDS),
        ("registerWithTaints:\n- key: example.com/qat\n  value: 'true'\n  effect: NoSchedule\n", Form.JSON),
        (json.dumps({"taints": [{"key": "qat", "value": "x", "effect": "NoSchedule"}]}, indent=2) + "\n", Form.JSON),
    ],
)
def test_what_is_of_use_stays(text: str, form: Form) -> None:
    assert redact(text, form)[0] == text


def test_a_unit_of_kubeadm_stays() -> None:
    unit = """\
[Service]
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS --node-ip=10.0.0.1 --v 2
"""
    assert redact(unit, Form.UNIT) == (unit, 0)


def test_what_is_below_a_deep_nest_is_not_shown() -> None:
    assert redact("[" * 100000 + "1" + "]" * 100000, Form.JSON)[0] in (MARK, "[" * 100000 + "1" + "]" * 100000)


@given(st.text(), st.sampled_from(list(Form)))
def test_any_text_has_an_answer(text: str, form: Form) -> None:
    redact(text, form)


@contextlib.contextmanager
def at_most(seconds: float) -> t.Iterator[None]:
    """Of processor time, so that it does not matter what else the machine does."""

    def over(*_of_signal: object) -> None:
        raise AssertionError(f"it has taken {seconds} seconds of processor time")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("part", ["a:", "a-", "://", "://a", "name: ", "a=", '\\"', '{"a":', "-----BEGIN a-----"])
@pytest.mark.parametrize("form", [Form.PLAIN, Form.LOG])
def test_a_text_of_others_does_not_take_hours(part: str, form: Form) -> None:
    """Where each letter may begin a secret that goes on to the end: with no bound this takes minutes, with one a second."""
    with at_most(30):
        redact(part * (150_000 // len(part)), form)
