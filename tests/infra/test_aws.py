"""The CloudFormation template: valid, deployed as far as moto goes, strict where the write rule needs it."""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import boto3
import cfnlint.api
import pytest
import yaml
from moto import mock_aws

from depthcast.cli.settings import SERVICES, service_settings
from depthcast.files import LIMITS, SCHEMES, Scheme, depth_key, heartbeat_key
from depthcast.metadata.kinds import EXCHANGE_INFO, PUBLIC, account, public
from depthcast.venues.answering import ANSWERING
from tests.infra.conftest import INFRA, script
from updater.account import KEY_VARIABLE, SECRET_VARIABLE

TEMPLATE = INFRA / "aws/depthcast.yaml"
TEXT = TEMPLATE.read_text("utf-8")
ROOT = INFRA.parent
Json = dict[str, Any]

# What moto's CloudFormation passes over, or cannot name in an output. The rest it makes.
NOT_IN_MOTO = (
    "AWS::S3::BucketPolicy",
    "AWS::CloudFront::",
    "AWS::CloudWatch::Alarm",
    "AWS::Logs::MetricFilter",
)

FILE = depth_key("ETHUSDT", 5)
KEPT = tuple(key for kind in PUBLIC for key in (kind.key, kind.head_key))
CHANGE = f"{EXCHANGE_INFO.changes_folder}x"
BEAT = heartbeat_key("a")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short forms, each as its long one."""


def _short_form(loader: Any, suffix: str, node: Any) -> Json:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
DOCUMENT: Json = yaml.load(TEXT, _Loader)
RESOURCES: Json = DOCUMENT["Resources"]


def properties(name: str) -> Json:
    found: Json = RESOURCES[name]["Properties"]
    return found


def of_type(kind: str) -> dict[str, Json]:
    return {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == kind}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def key_pattern(resource: Any) -> str:
    """Which keys of the bucket a policy's resource stands for; the bucket itself is ``""``."""
    if resource == {"Fn::GetAtt": ["Bucket", "Arn"]}:
        return ""
    pattern = resource["Fn::Sub"]
    assert pattern.startswith("${Bucket.Arn}/")
    return str(pattern.removeprefix("${Bucket.Arn}/"))


def applies(statement: Json, action: str, key: str, context: Mapping[str, str]) -> bool:
    """Whether a statement is about a request, as IAM reads its actions, resources and conditions."""
    if not any(fnmatchcase(action, each) for each in listed(statement["Action"])):
        return False
    if not any(fnmatchcase(key, key_pattern(each)) for each in listed(statement["Resource"])):
        return False
    for operator, keys in statement.get("Condition", {}).items():
        for name, wanted in keys.items():
            match operator:
                case "Null":
                    holds = (name not in context) == (wanted == "true")
                case "Bool":
                    holds = context.get(name) == wanted
                case "StringEquals":
                    holds = context.get(name) == wanted
                case "ArnNotEquals":
                    holds = context.get(name) not in [named(each) for each in listed(wanted)]
                case _:
                    raise AssertionError(f"{operator} is not known here")
            if not holds:
                return False
    return True


def named(role: Any) -> str:
    """The name in the template of the role that is meant, where there is an account."""
    found = role["Fn::If"][1] if "Fn::If" in role else role
    name, attribute = found["Fn::GetAtt"]
    assert attribute == "Arn"
    return str(name)


def denied(action: str, key: str, **context: str) -> bool:
    """Whether the bucket's policy refuses a request, whoever sends it."""
    sent = {"aws:SecureTransport": "true", "s3:ObjectCreationOperation": "true"}
    sent |= {f"s3:{name.replace('_', '-')}": value for name, value in context.items()}
    sent["aws:SecureTransport"] = context.get("tls", "true")
    sent["aws:PrincipalArn"] = context.get("role", "somebody")
    sent["s3:ObjectCreationOperation"] = context.get("creates", "true")
    statements = properties("BucketPolicy")["PolicyDocument"]["Statement"]
    return any(each["Effect"] == "Deny" and applies(each, action, key, sent) for each in statements)


def allowed(role: str, action: str, key: str) -> bool:
    """Whether a role may do something with a key of the bucket (``""``: the bucket)."""
    policies = [*properties(role)["Policies"]]
    policies += [
        each for each in of_type("AWS::IAM::RolePolicy").values() if each["RoleName"] == {"Ref": role}
    ]
    statements = [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]
    assert {each["Effect"] for each in statements} == {"Allow"}
    return any(applies(each, action, key, {}) for each in statements)


@pytest.mark.timeout(600)  # it takes 10 s of processor time, and a busy machine has little
def test_cfn_lint_finds_nothing() -> None:
    assert [str(match) for match in cfnlint.api.lint_file(TEMPLATE)] == []


def test_the_template_is_small_enough_to_be_given_as_it_is() -> None:
    assert len(TEXT.encode()) <= 51_200


def test_the_functions_in_the_template_are_the_files() -> None:
    embed = script("aws/embed.py")
    assert embed.embedded(TEXT) == TEXT
    text, values = properties("RequestFunction")["FunctionCode"]["Fn::Sub"]
    given = {"ServerOrigin": "server"}
    given |= {name: DOCUMENT["Parameters"][name]["Default"] for name in ("Limits", "Venue")}
    assert values.keys() == {"ServerOrigin"}
    filled = re.sub(r"\$\{(\w+)\}", lambda match: given[match[1]], text)
    assert filled == embed.packed((INFRA / "aws/request.js").read_text("utf-8"))
    assert properties("ResponseFunction")["FunctionCode"] == embed.packed(
        (INFRA / "aws/response.js").read_text("utf-8")
    )
    assert given["Limits"] == ",".join(map(str, LIMITS))


def test_code_without_comments_and_indentation_keeps_its_words_apart() -> None:
    packed = script("aws/embed.py").packed
    code = "import cf from 'cloudfront';\n// says\nconst a =\n    b;\n\nfunction f() {\n    return\n  a;\n}\n"
    assert packed(code) == "import cf from 'cloudfront';\nconst a =b;function f() {return a;}\n"
    long = "f(1);\n" * 100
    assert packed(long).replace("\n", "") == long.replace("\n", "")
    assert max(map(len, packed(long).splitlines())) <= 120


def test_a_venue_that_answers_404_for_an_unknown_symbol_has_it_from_cloudfront_too() -> None:
    told = [each["Fn::Equals"][1] for each in DOCUMENT["Conditions"]["Says404"]["Fn::Or"]]
    expected = [venue for venue in SCHEMES if ANSWERING[venue].refusals.unknown_symbol.status == 404]
    assert sorted(told) == sorted(expected)
    pages = properties("Distribution")["DistributionConfig"]["CustomErrorResponses"]
    (gone,) = [page for page in pages if page["ErrorCode"] == 403]
    assert gone["ResponseCode"] == {"Fn::If": ["Says404", 404, 400]}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.venue)
def test_every_venues_limits_may_be_given(scheme: Scheme) -> None:
    parameter = DOCUMENT["Parameters"]["Limits"]
    assert re.fullmatch(parameter["AllowedPattern"], ",".join(map(str, scheme.limits)))


@pytest.mark.parametrize(
    "key", [FILE, BEAT, *KEPT, CHANGE, "probe/x", "errors/unknown-symbol.json", "tape/x", "heat/x"]
)
def test_the_bucket_refuses_a_write_without_a_condition(key: str) -> None:
    assert denied("s3:PutObject", key)
    assert not denied("s3:PutObject", key, if_match='"etag"')
    assert not denied("s3:PutObject", key, if_none_match="*")
    # The parts of an upload can carry none; its completion creates the object, and must.
    assert not denied("s3:PutObject", key, creates="false")


def test_the_bucket_refuses_to_delete_a_file_and_any_plain_connection() -> None:
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
        assert all(denied(action, key) for key in (FILE, *KEPT))
        assert not denied(action, "tape/ETHUSDT/1")
    assert denied("s3:GetObject", FILE, tls="false")
    assert denied("s3:ListBucket", "", tls="false")
    assert not denied("s3:GetObject", FILE)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.venue)
def test_every_venues_files_are_held_to_the_same_rules(scheme: Scheme) -> None:
    symbol = {"coinbaseexchange": "BTC-USD", "bitmex": "XBTUSD"}.get(scheme.venue, "ETHUSDT")
    statements = properties("BucketPolicy")["PolicyDocument"]["Statement"]
    (grant,) = [each for each in statements if each["Effect"] == "Allow"]
    own = {"AWS:SourceArn": grant["Condition"]["StringEquals"]["AWS:SourceArn"]}
    books = [depth_key(symbol, limit, scheme) for limit in scheme.limits]
    for key in (*books, scheme.exchange_info_key, *(kind.key for kind in public(scheme))):
        assert denied("s3:PutObject", key)
        assert not denied("s3:PutObject", key, if_match='"etag"')
        assert denied("s3:DeleteObject", key)
        assert applies(grant, "s3:GetObject", key, own)
        assert all(allowed("UpdaterRole", action, key) for action in ("s3:GetObject", "s3:PutObject"))
        assert allowed("ServerRole", "s3:GetObject", key)
        assert not allowed("ServerRole", "s3:PutObject", key)


def test_changes_of_metadata_expire_and_what_is_in_force_does_not() -> None:
    rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
    prefixes = tuple(rule["Prefix"] for rule in rules if "Prefix" in rule)
    for kind in (*PUBLIC, account("main")):
        assert kind.changes_folder.startswith(prefixes)
        assert not any(key.startswith(prefixes) for key in (kind.key, kind.head_key))


def test_nothing_that_is_published_expires() -> None:
    bucket = properties("Bucket")
    assert "VersioningConfiguration" not in bucket
    for rule in bucket["LifecycleConfiguration"]["Rules"]:
        if any("Expiration" in name or "Transition" in name for name in rule):
            prefix = rule["Prefix"]
            assert prefix in ("tape/", "heat/", "history/", "private/history/")
            assert not any(key.startswith(prefix) for key in (FILE, BEAT, *KEPT, "errors/", "probe/"))


def test_the_public_reads_through_this_distribution_alone() -> None:
    bucket = properties("Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    statements = properties("BucketPolicy")["PolicyDocument"]["Statement"]
    (grant,) = [each for each in statements if each["Effect"] == "Allow"]
    assert grant["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert listed(grant["Action"]) == ["s3:GetObject"]
    source = grant["Condition"]["StringEquals"]["AWS:SourceArn"]["Fn::Sub"]
    assert source.endswith(":distribution/${Distribution}")
    own = {"AWS:SourceArn": grant["Condition"]["StringEquals"]["AWS:SourceArn"]}
    for key in (FILE, "heat/x", *(kind.key for kind in PUBLIC)):
        assert applies(grant, "s3:GetObject", key, own)
    for key in (BEAT, CHANGE, *(kind.head_key for kind in PUBLIC), account("main").key):
        assert not applies(grant, "s3:GetObject", key, own)


def test_each_role_may_do_what_it_needs_and_no_more() -> None:
    for key in (FILE, BEAT, *KEPT, CHANGE, "probe/x", "tape/x", "heat/x"):
        assert allowed("UpdaterRole", "s3:GetObject", key)
        assert allowed("UpdaterRole", "s3:PutObject", key)
    for key in (FILE, BEAT, *KEPT, CHANGE):
        assert allowed("ServerRole", "s3:GetObject", key)
    for role in ("UpdaterRole", "ServerRole"):
        # With a condition on the prefix, a missing file would be 403 to whoever reads it.
        assert allowed(role, "s3:ListBucket", "")
        for action in (
            "s3:DeleteObject",
            "s3:PutBucketPolicy",
            "s3:PutObjectAcl",
            "s3:PutLifecycleConfiguration",
        ):
            assert not any(allowed(role, action, key) for key in (FILE, BEAT, "", "errors/x"))
    assert not allowed("ServerRole", "s3:PutObject", FILE)
    assert not allowed("UpdaterRole", "s3:PutObject", "errors/unknown-symbol.json")


def test_accounts_are_for_those_who_keep_them_and_a_role_of_their_own() -> None:
    for key in (account("main").key, account("main").head_key, account("main").changes_folder + "x"):
        for action in ("s3:GetObject", "s3:PutObject"):
            conditional = {"if_match": '"etag"'}
            assert denied(action, key, **conditional), "whatever leave somebody was given elsewhere"
            assert denied(action, key, role="ServerRole", **conditional)
            assert not denied(action, key, role="UpdaterRole", **conditional)
            assert allowed("UpdaterRole", action, key)
            assert not allowed("ServerRole", action, key)
        assert allowed("AccountReaderRole", "s3:GetObject", key)
        assert not allowed("AccountReaderRole", "s3:PutObject", key)
        assert not denied("s3:GetObject", key, role="AccountReaderRole")
        statements = properties("BucketPolicy")["PolicyDocument"]["Statement"]
        for grant in (each for each in statements if each["Effect"] == "Allow"):
            assert not any(fnmatchcase(key, key_pattern(each)) for each in listed(grant["Resource"]))
    assert not allowed("AccountReaderRole", "s3:GetObject", FILE)
    for name in ("UpdaterAccountPolicy", "ExecutionAccountPolicy", "AccountReaderRole"):
        assert RESOURCES[name]["Condition"] == "HasAccount"
    assert DOCUMENT["Parameters"]["Account"]["Default"] == ""


def test_services_are_given_settings_that_exist_and_no_secret() -> None:
    for task, service in (("UpdaterTask", "updater"), ("ServerTask", "server")):
        (container,) = properties(task)["ContainerDefinitions"]
        names = {each["Name"] for each in container["Environment"]}
        known = {f"DEPTHCAST_{name.upper()}" for name in service_settings(service).model_fields}
        assert {name for name in names if name.startswith("DEPTHCAST_")} <= known
        # By name from Secrets Manager, where there is an account; never as they are.
        given = container.get("Secrets", {"Fn::If": ["HasAccount", [], None]})["Fn::If"]
        assert given[0] == "HasAccount"
        assert all(set(each) == {"Name", "ValueFrom"} for each in given[1])
        assert {each["Name"] for each in given[1]} <= {KEY_VARIABLE, SECRET_VARIABLE}
        assert bool(given[1]) == (service == "updater")
        assert container["HealthCheck"]["Command"][-2] == "/opt/depthcast/healthcheck.py"
    assert {"updater", "server"} <= set(SERVICES)
    without_names = re.sub(
        r"secretsmanager:|GetSecretValue|:secret:|Secrets Manager|Secrets:|BINANCE_API_SECRET", "", TEXT
    )
    assert not re.search(r"(?i)secret|password|AKIA[A-Z0-9]{16}", without_names)


def test_log_filters_look_for_events_that_are_logged() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "updater").glob("*.py"))
    looked_for = [
        event.rstrip("*")
        for each in of_type("AWS::Logs::MetricFilter").values()
        for event in re.findall(r'\$\.event = "([^"]+)"', each["FilterPattern"])
    ]
    assert len(looked_for) >= 3
    for event in looked_for:
        assert f'"{event}' in code, event


def test_an_alarm_has_a_metric_that_something_makes() -> None:
    made = {
        transformation["MetricName"]["Fn::Sub"]
        for each in of_type("AWS::Logs::MetricFilter").values()
        for transformation in each["MetricTransformations"]
    }
    alarms = of_type("AWS::CloudWatch::Alarm")
    ours = {each["MetricName"]["Fn::Sub"] for each in alarms.values() if each["Namespace"] == "Depthcast"}
    assert ours == made
    filters = [
        dimension["Value"]
        for each in alarms.values()
        for dimension in each.get("Dimensions", [])
        if dimension["Name"] == "FilterId"
    ]
    assert set(filters) == {each["Id"] for each in properties("Bucket")["MetricsConfigurations"]}
    assert properties("Cluster")["ClusterSettings"] == [{"Name": "containerInsights", "Value": "enabled"}]
    assert len(alarms) >= 8


def test_the_edge_keeps_no_error_and_every_request_but_for_error_pages_passes_the_function() -> None:
    config = properties("Distribution")["DistributionConfig"]
    assert {each["ErrorCachingMinTTL"] for each in config["CustomErrorResponses"]} == {1}
    behaviours = {each["PathPattern"]: each for each in config["CacheBehaviors"]}
    assert behaviours.keys() == {"/api/v3/depth", "/heat/*", "/errors/*"}
    for each in (config["DefaultCacheBehavior"], behaviours["/api/v3/depth"]):
        given = {
            function["EventType"]: function["FunctionARN"]["Fn::GetAtt"][0]
            for function in each["FunctionAssociations"]
        }
        assert given == {"viewer-request": "RequestFunction", "viewer-response": "ResponseFunction"}
    assert "FunctionAssociations" not in behaviours["/errors/*"]
    # Tiles are files by the path that is asked for.
    tiles = behaviours["/heat/*"]
    assert "FunctionAssociations" not in tiles
    assert tiles["TargetOriginId"] == "bucket"
    # Books are files; the rest is a server's where there is one, and is kept only where there is none.
    assert behaviours["/api/v3/depth"]["TargetOriginId"] == "bucket"
    default = config["DefaultCacheBehavior"]
    assert default["TargetOriginId"] == {"Fn::If": ["HasServers", "server", "bucket"]}
    assert default["CachePolicyId"]["Fn::If"][::2] == ["HasServers", {"Ref": "CachePolicy"}]
    policy = properties("CachePolicy")["CachePolicyConfig"]
    assert (policy["MinTTL"], policy["DefaultTTL"]) == (0, 1)
    sent = properties("UpdaterTask")["ContainerDefinitions"][0]["Environment"]
    (cache_control,) = [each["Value"] for each in sent if each["Name"] == "DEPTHCAST_CACHE_CONTROL"]
    assert "s-maxage=1, stale-while-revalidate=1, stale-if-error=${StaleSeconds}" in cache_control["Fn::Sub"]


@pytest.fixture
def aws() -> Iterator[Any]:
    """moto in this process, and clients of it by name."""
    with mock_aws():
        session = boto3.Session("moto", "moto", region_name="us-east-1")
        yield lambda name: session.client(name)


def deploy(aws: Any, **parameters: str) -> dict[str, str]:
    """Create the stack and return the ids of its resources, those that moto does not know left out."""
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    given = {"VpcId": vpc, "SubnetIds": ",".join(subnets), "UpdaterImage": "updater", **parameters}
    cloudformation = aws("cloudformation")
    document = DOCUMENT | {
        "Resources": {
            name: each for name, each in RESOURCES.items() if not each["Type"].startswith(NOT_IN_MOTO)
        },
        "Outputs": {
            name: each for name, each in DOCUMENT["Outputs"].items() if "Distribution" not in str(each)
        },
    }
    cloudformation.create_stack(
        StackName="depthcast",
        TemplateBody=json.dumps(document),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    (stack,) = cloudformation.describe_stacks(StackName="depthcast")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    made = cloudformation.describe_stack_resources(StackName="depthcast")["StackResources"]
    # Of what a condition leaves out moto lists a row without names.
    return {
        each["LogicalResourceId"]: each["PhysicalResourceId"] for each in made if "PhysicalResourceId" in each
    }


@pytest.mark.timeout(600)
def test_moto_makes_the_bucket_the_roles_and_the_services(aws: Any) -> None:
    made = deploy(aws, ServerImage="server", Updaters="3", Servers="2")
    bucket = made["Bucket"]
    assert [each["Name"] for each in aws("s3").list_buckets()["Buckets"]] == [bucket]

    ecs = aws("ecs")
    services = ecs.describe_services(
        cluster=made["Cluster"], services=[made["UpdaterService"], made["ServerService"]]
    )["services"]
    assert sorted(each["desiredCount"] for each in services) == [2, 3]
    task = ecs.describe_task_definition(taskDefinition=made["UpdaterTask"])["taskDefinition"]
    given = {each["name"]: each["value"] for each in task["containerDefinitions"][0]["environment"]}
    assert given["DEPTHCAST_STORE_URL"] == f"s3://{bucket}"
    assert given["DEPTHCAST_CACHE_CONTROL"].endswith("stale-if-error=60")

    (group,) = aws("elbv2").describe_target_groups(TargetGroupArns=[made["ServerTargets"]])["TargetGroups"]
    assert (group["HealthCheckPath"], group["TargetType"]) == ("/readyz", "ip")
    role = aws("iam").get_role_policy(RoleName=made["UpdaterRole"], PolicyName="write-books")
    # moto hands a role's policy back as text of some kind.
    assert f"arn:aws:s3:::{bucket}/api/*" in str(role["PolicyDocument"])


@pytest.mark.timeout(600)
def test_without_servers_none_of_theirs_is_made(aws: Any) -> None:
    made = deploy(aws, Servers="0")
    assert {"Bucket", "UpdaterService"} <= made.keys()
    theirs = {name for name, each in RESOURCES.items() if each.get("Condition") == "HasServers"}
    assert {"ServerService", "Balancer", "VpcOrigin", "ServerRole"} <= theirs
    assert not theirs & made.keys()
