"""What holds for the network that agents run in: that they reach what they need by each of its choices, and nothing else more than is said."""

from infra import as_list, given, reference_of

# The endpoints through which agents without a way to the internet start and work, with their kind.
ENDPOINTS = {
    "s3": "Gateway",
    "dynamodb": "Gateway",
    "ecr.api": "Interface",
    "ecr.dkr": "Interface",
    "logs": "Interface",
    "git-codecommit": "Interface",
}
# Those whose names begin with cn. in China; every service's there is listed by `aws ec2 describe-vpc-endpoint-services`.
NAMED_OTHERWISE_IN_CHINA = {"ecr.api", "ecr.dkr", "sts"}
# The packages and layers that no principal of this account asks for, by the ends of their buckets.
READ_BY_ANYBODY = ("starport-layer-bucket/*", "al2023-repos-${AWS::Region}-de612dc2/*", "amazonlinux-2-repos-${AWS::Region}/*")
THIS_ACCOUNT = {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}


def service_of(endpoint):
    """The service of an endpoint, and whether its name begins otherwise in China."""
    name = endpoint["ServiceName"]["Fn::Sub"]
    if isinstance(name, str):
        return name.removeprefix("com.amazonaws.${AWS::Region}."), False
    text, own = name
    in_china = own == {"Prefix": {"Fn::If": ["InChina", "cn.com.amazonaws", "com.amazonaws"]}}
    return text.removeprefix("${Prefix}.${AWS::Region}."), in_china


def network(template):
    """What an agent would lack in its network, or the network to be made."""
    if not template.of_type("AWS::EC2::VPC"):
        return []
    found = []
    endpoints = {}
    for name, endpoint in template.of_type("AWS::EC2::VPCEndpoint").items():
        service, in_china = service_of(endpoint)
        if in_china != (service in NAMED_OTHERWISE_IN_CHINA):
            found.append(f"{name}: there is no such service in China" if in_china else f"{name}: the service has another name in China")
        endpoints[service] = endpoint.get("VpcEndpointType", "Gateway")
        if endpoints[service] == "Interface" and endpoint.get("PrivateDnsEnabled") is not True:
            found.append(f"{name}: nobody finds it under the service's own name")
        # Those that every agent needs come and go together.
        condition = template.resources[name].get("Condition")
        if service in ENDPOINTS and condition != {"Gateway": None, "Interface": "HasInterfaceEndpoints"}[ENDPOINTS[service]]:
            found.append(f"{name}: there under the condition {condition} only")
    found += [f"no endpoint of {kind} for {service}" for service, kind in ENDPOINTS.items() if endpoints.get(service) != kind]
    attachments = set(template.of_type("AWS::EC2::VPCGatewayAttachment"))
    gateways = set(template.of_type("AWS::EC2::InternetGateway"))
    through = [name for name, route in template.of_type("AWS::EC2::Route").items() if reference_of(route.get("GatewayId")) in gateways]
    for name in [*through, *template.of_type("AWS::EC2::EIP")]:
        if not attachments & set(as_list(template.resources[name].get("DependsOn", []))):
            found.append(f"{name}: may be made before the gateway is the VPC's, which EC2 refuses")
    for choice in template.document["Parameters"]["AgentNetwork"]["AllowedValues"]:
        chosen = given(template, {"AgentNetwork": choice})
        found += [f"{choice}: {lack}" for lack in ways_out(chosen)]
        if choice != "endpoints":
            found += [f"{choice}: {refusal}" for refusal in refusals(chosen)]
    found += policies(given(template, {"AgentNetwork": "endpoints", "SecretsEndpoint": "true"}))
    return found


def ways_out(template):
    """What the agents' subnets lack to reach AWS, in a network as it is given."""
    outputs = template.document["Outputs"]
    subnets = [reference_of(subnet) for subnet in outputs["SubnetIds"]["Value"]["Fn::Join"][1]]
    public_addresses = outputs["AssignPublicIp"]["Value"] == "true"
    tables = {reference_of(of["SubnetId"]): reference_of(of["RouteTableId"]) for of in template.of_type("AWS::EC2::SubnetRouteTableAssociation").values()}
    ways = {
        reference_of(route["RouteTableId"]): "gateway" if "GatewayId" in route else "nat"
        for route in template.of_type("AWS::EC2::Route").values()
        if route.get("DestinationCidrBlock") == "0.0.0.0/0"
    }
    found = []
    for subnet in subnets:
        if subnet not in template.resources:
            found.append(f"{subnet} is an agents' subnet and not there")
            continue
        table = tables.get(subnet)
        way = ways.get(table)
        if public_addresses != (way == "gateway"):
            found.append(f"{subnet}: the way out is {way}, and agents have {'' if public_addresses else 'no '}public addresses")
        for name, endpoint in template.of_type("AWS::EC2::VPCEndpoint").items():
            if endpoint.get("VpcEndpointType") == "Gateway" and table not in [reference_of(of) for of in endpoint["RouteTableIds"]]:
                found.append(f"{subnet}: does not reach {name}")
        if way is None:
            reached = {
                service_of(endpoint)[0]
                for endpoint in template.of_type("AWS::EC2::VPCEndpoint").values()
                if endpoint.get("VpcEndpointType") == "Gateway" or subnet in [reference_of(of) for of in endpoint["SubnetIds"]]
            }
            found += [f"{subnet}: does not reach {service}" for service in ENDPOINTS if service not in reached]
    return found


def refusals(template):
    """Endpoints that refuse something although agents reach the internet anyway."""
    anything = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    found = []
    for name, endpoint in template.of_type("AWS::EC2::VPCEndpoint").items():
        statements = as_list(endpoint.get("PolicyDocument", {}).get("Statement", []))
        if [{key: of[key] for key in of if key != "Sid"} for of in statements] != [anything]:
            found.append(f"{name}: its policy is not open, or not written out")
    return found


def policies(template):
    """Endpoints of a network without a way to the internet that admit others than this account, or refuse what every agent needs."""
    found = []
    for name, endpoint in template.of_type("AWS::EC2::VPCEndpoint").items():
        if {"Ref": "PublicRouteTable"} in endpoint.get("RouteTableIds", []):
            found.append(f"{name}: refuses what the public subnets reach by the internet")
        statements = as_list(endpoint.get("PolicyDocument", {}).get("Statement", []))
        if not [of for of in statements if of["Effect"] == "Allow" and of.get("Condition") == THIS_ACCOUNT and of["Action"] == "*"]:
            found.append(f"{name}: does not admit this account")
        read = []
        for statement in statements or [{"Effect": "Allow", "Action": "*", "Resource": "*"}]:
            if statement["Effect"] == "Allow" and statement.get("Condition") != THIS_ACCOUNT:
                resources = [of["Fn::Sub"] if isinstance(of, dict) else of for of in as_list(statement["Resource"])]
                read += resources
                if statement["Action"] != "s3:GetObject" or not all(of.endswith(READ_BY_ANYBODY) for of in resources):
                    found.append(f"{name}: lets anybody {statement['Action']} on {', '.join(resources)}")
        if service_of(endpoint)[0] == "s3":
            found += [f"{name}: refuses {bucket}" for bucket in READ_BY_ANYBODY if not any(of.endswith(bucket) for of in read)]
    return found
