"""Functions of cel-go's extensions and Kubernetes' libraries, against documented values."""

from __future__ import annotations

import pytest

from engine.cel.checker import CelCheckError
from engine.cel.runtimes.registry import RUNTIMES
from engine.cel.values import CelError
from tests.support.cel import evaluate

TRUE = [
    "[1, [2, [3, [4]]]].flatten(2) == [1, 2, 3, [4]]",
    "[[[1]], [[2]]].flatten(0) == [[[1]], [[2]]]",
    "[[1]].flatten(9223372036854775807) == [1]",
    "sets.contains([1, 2], []) && !sets.contains([], [1]) && sets.contains([1, 1], [1, 1, 1])",
    "sets.contains([dyn(1), 2u, 'a'], [2.0, dyn('a')]) && !sets.contains(['1'], [dyn(1)])",
    "sets.equivalent([], []) && !sets.equivalent([1], [1, 2]) && sets.equivalent([1], [dyn(1u), 1.0])",
    "!sets.intersects([1], []) && sets.intersects([[1], [2, 3]], [[2, 3.0]])",
    "regex.replace('hello world hello', 'hello', 'hi') == 'hi world hi'",
    "regex.replace('banana', 'a', 'x', 0) == 'banana' && regex.replace('banana', 'a', 'x', 1) == 'bxnana'",
    "regex.replace('banana', 'a', 'x', -12) == 'bxnxnx'",
    r"regex.replace('foo bar', '(fo)o (ba)r', r'\2 \1') == 'ba fo'",
    r"regex.replace('ab', 'b', r'[\0\\]') == r'a[b\]'",
    "regex.replace('ü-ö', '-', '→') == 'ü→ö' && regex.replace('', '^', 'x') == 'x'",
    "regex.extractAll('id:123, id:456', 'assa') == []",
    r"regex.extractAll('id:123, id:456', r'id:\d+') == ['id:123', 'id:456']",
    "'abc 123'.find('xyz') == '' && '123 abc 456'.findAll('xyz') == []",
    "'123 abc 456'.findAll('[0-9]*') == ['123', '', '', '', '', '456']",
    "'123 abc 456'.findAll('[0-9]+', 1) == ['123'] && '1 2'.findAll('[0-9]', 0) == []",
    "[].first() == optional.none() && [[1], []].last() == optional.of([])",
    "[{'a': 1}].first().a.orValue(2) == 1 && ['x'].map(x, [x].first().value()) == ['x']",
    "regex.extract('hello world', 'hello(.*)') == optional.of(' world')",
    "regex.extract('HELLO', 'hello') == optional.none() && regex.extract('ab', 'a(x)?b') == optional.none()",
    "format.named('uuid').value() == format.uuid() && format.named('') == optional.none()",
    "type(format.date()) == kubernetes.NamedFormat && format.date() != format.uri()",
    "!format.labelValue().validate('').hasValue() && format.dns1123Label().validate('').hasValue()",
    "format.qualifiedName().validate('A.b/c d').value().size() == 2",
    "!format.qualifiedName().validate('my-Name_1').hasValue()",
    "format.qualifiedName().validate('/a').hasValue()",
    "format.date().validate('2026-02-30').hasValue() && format.datetime().validate('2026-01-31').hasValue()",
    "!format.dns1123LabelPrefix().validate('a-').hasValue()",
    "format.dns1123Label().validate('a-').hasValue()",
    "format.dns1035Label().validate('1a').hasValue() && !format.dns1123Label().validate('1a').hasValue()",
    "format.byte().validate('aGVsbG8').hasValue() && format.uuid().validate('0').hasValue()",
    "base64.encode(b'') == '' && base64.decode('') == b'' && base64.decode('/+==') == b'\\xff'",
    "quantity('1.5G').isGreaterThan(quantity('1Gi')) && quantity('0.1Ki').isInteger() == false",
    "quantity('50000k') == quantity('50M')",
    "quantity('5e1') == quantity('50') && quantity('1Ei').sign() == 1",
    "quantity('50k').add(quantity('20k')) == quantity('70k')",
    "quantity('50k').sub(20000) == quantity('30k')",
    "quantity('0.1n').asApproximateFloat() == 1e-9 && quantity('-0.1n') == quantity('-1n')",
    "quantity('9223372036854775807').asInteger() == 9223372036854775807",
    "!isQuantity('200KI') && !isQuantity('')",
    "!isQuantity('.') && !isQuantity('1e999') && isQuantity('+1.')",
    "quantity('1').compareTo(quantity('1001m')) == -1",
    "semver('1.0.0-alpha').isLessThan(semver('1.0.0-alpha.1'))",
    "semver('1.0.0-2').isLessThan(semver('1.0.0-10'))",
    "semver('1.0.0-rc.1').isLessThan(semver('1.0.0')) && semver('1.0.0+a') == semver('1.0.0+b')",
    "!isSemver('1.2') && !isSemver('01.2.3')",
    "!isSemver('1.2.3-01') && isSemver('1.2.3-0a') && isSemver('01.02', true)",
    "!isSemver('200K') && semver('v1', true).compareTo(semver('1.0.0')) == 0",
    "cidr('192.168.1.5/24').ip() == ip('192.168.1.5') && !cidr('0.0.0.0/0').containsIP('::1')",
    "!isIP('192.168.0.1/32') && !isIP('01.2.3.4') && !isIP('fe80::1%eth0') && !isCIDR('10.0.0.0/08')",
    "!ip('255.255.255.255').isGlobalUnicast() && ip('fd00::1').isGlobalUnicast()",
    "string(ip('2001:DB8:0:0:0:0:0:1')) == '2001:db8::1'",
    "url('https://user:pw@example.com:80/path?k=v').getHost() == 'example.com:80'",
    "url('/path').getScheme() == ''",
    "url('/path').getHost() == '' && url('mailto:a@b').getEscapedPath() == ''",
    "!isURL('https://a b/') && !isURL('https://a/%zz')",
    "!isURL('https://a:port/') && !isURL('../a') && !isURL('')",
    "url('https://example.com/a/%2F?x=%41+b&x&y=1;z').getQuery() == {'x': ['A b', '']}",
    "url('https://example.com/%2F').getEscapedPath() == '/%2F'",
    "type(ip('::')) == net.IP && type(quantity('1')) == kubernetes.Quantity && type(cidr('::/0')) != net.IP",
    "[ip('::1'), ip('::1')].distinct().size() == 1 && ip('::1') in [ip('0:0::1')]",
    "dyn(quantity('1')) != dyn(1) && dyn(semver('1.0.0')) != dyn(quantity('1'))",
]
ERRORS = [
    "[1].flatten(-1) == []",
    r"regex.replace('a', 'a', r'\1') == ''",
    r"regex.replace('a', 'a', r'\x') == ''",
    r"regex.extractAll('a@b', '(.*)@(.*)') == []",
    "regex.extract('a@b', '(.*)@(.*)') == optional.none()",
    "regex.replace('a', '(', '') == ''",
    "'a'.findAll('[') == []",
    "base64.decode('a') == b''",
    "base64.decode('a-b=') == b''",
    "base64.decode('aGVsbG8==') == b''",
    "quantity('1.5').asInteger() == 1",
    "quantity('1E').add(quantity('9223372036854775807')).asInteger() == 1",
    "quantity('ten') == quantity('10')",
    "semver('1.2') == semver('1.2.0')",
    "semver('9999999999999999999.0.0').major() == 1",
    "ip('10.0.0.256') == ip('10.0.0.1')",
    "ip.isCanonical('127.0.0.1.0')",
    "cidr('10.0.0.0') == cidr('10.0.0.0/8')",
    "cidr('10.0.0.0/8').containsIP('10.0.0')",
    "url('models') == url('/models')",
    "dyn(quantity('1')) < dyn(quantity('2'))",
    "dyn(ip('::1')).compareTo(dyn(ip('::1'))) == 0",
]
REFUSED = [
    "isIP(cidr('192.168.0.0/24'))",
    "quantity('1') < quantity('2')",
    "ip('::1') == '::1'",
    "sets.contains([1], ['a'])",
]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("text", TRUE)
def test_function_gives_the_documented_value(text: str, runtime: str) -> None:
    assert evaluate(text, runtime) is True


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("text", ERRORS)
def test_function_ends_in_an_error(text: str, runtime: str) -> None:
    with pytest.raises(CelError):
        evaluate(text, runtime)


@pytest.mark.parametrize("text", REFUSED)
def test_checker_refuses_arguments_of_another_type(text: str) -> None:
    with pytest.raises(CelCheckError):
        evaluate(text, "compiled")
