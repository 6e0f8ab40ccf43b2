"""Faults of the network: endpoints, routes and subnets."""


def registry_outside_of_china_alone(template):
    template.properties("EcrApiEndpoint")["ServiceName"] = {"Fn::Sub": "com.amazonaws.${AWS::Region}.ecr.api"}


def logs_that_china_does_not_know(template):
    prefix = {"Fn::If": ["InChina", "cn.com.amazonaws", "com.amazonaws"]}
    template.properties("LogsEndpoint")["ServiceName"] = {"Fn::Sub": ["${Prefix}.${AWS::Region}.logs", {"Prefix": prefix}]}


def no_endpoint_for_logs(template):
    del template.resources["LogsEndpoint"]


def private_subnet_without_route(template):
    del template.resources["PrivateRouteB"]


def no_way_to_the_nat_gateway(template):
    template.properties("NatRoute")["RouteTableId"] = {"Ref": "PublicRouteTable"}


def agents_without_addresses(template):
    template.document["Outputs"]["AssignPublicIp"]["Value"] = "false"


def subnets_of_another_choice(template):
    template.document["Outputs"]["SubnetIds"]["Value"]["Fn::Join"][1]["Fn::If"][0] = "HasNatGateway"


def gateway_endpoint_of_others(template):
    template.properties("S3Endpoint")["RouteTableIds"]["Fn::If"][2].pop()


def gateway_endpoint_of_public_subnets(template):
    template.properties("S3Endpoint")["RouteTableIds"]["Fn::If"][1].append({"Ref": "PublicRouteTable"})


def policy_that_is_not_written_out(template):
    template.properties("S3Endpoint")["PolicyDocument"]["Fn::If"][2] = {"Version": "2012-10-17", "Statement": []}


def endpoint_for_everybody(template):
    del template.properties("GitEndpoint")["PolicyDocument"]["Statement"][0]["Condition"]


def endpoint_without_policy(template):
    del template.properties("DynamoDbEndpoint")["PolicyDocument"]


def packages_that_are_refused(template):
    template.properties("S3Endpoint")["PolicyDocument"]["Fn::If"][1]["Statement"][1]["Resource"].pop()


def anybodys_buckets(template):
    template.properties("S3Endpoint")["PolicyDocument"]["Fn::If"][1]["Statement"][1]["Resource"].append("arn:aws:s3:::*")


def endpoint_of_a_condition(template):
    template.resources["EcrApiEndpoint"]["Condition"] = "HasSecretsEndpoint"


def endpoint_without_name(template):
    template.properties("GitEndpoint")["PrivateDnsEnabled"] = False


def route_before_the_gateway(template):
    del template.resources["PublicRoute"]["DependsOn"]


def address_before_the_gateway(template):
    del template.resources["NatAddress"]["DependsOn"]


FAULTS = [
    (registry_outside_of_china_alone, "network", ["EcrApiEndpoint: the service has another name in China"], "network.yaml"),
    (logs_that_china_does_not_know, "network", ["LogsEndpoint: there is no such service in China"], "network.yaml"),
    (no_endpoint_for_logs, "network", ["no endpoint of Interface for logs"], "network.yaml"),
    (endpoint_of_a_condition, "network", ["EcrApiEndpoint", "HasSecretsEndpoint only"], "network.yaml"),
    (endpoint_without_name, "network", ["GitEndpoint: nobody finds it"], "network.yaml"),
    (route_before_the_gateway, "network", ["PublicRoute"], "network.yaml"),
    (address_before_the_gateway, "network", ["NatAddress"], "network.yaml"),
    (private_subnet_without_route, "network", ["nat: PrivateSubnetB", "endpoints: PrivateSubnetB"], "network.yaml"),
    (no_way_to_the_nat_gateway, "network", ["nat: PrivateSubnetA: does not reach ecr.api"], "network.yaml"),
    (agents_without_addresses, "network", ["public: PublicSubnetA: the way out is gateway, and agents have no public addresses"], "network.yaml"),
    (subnets_of_another_choice, "network", ["public: PrivateSubnetA is an agents' subnet and not there"], "network.yaml"),
    (gateway_endpoint_of_others, "network", ["nat: PrivateSubnetA: does not reach S3Endpoint"], "network.yaml"),
    (gateway_endpoint_of_public_subnets, "network", ["S3Endpoint: refuses what the public subnets"], "network.yaml"),
    (policy_that_is_not_written_out, "network", ["public: S3Endpoint: its policy is not open", "nat: S3Endpoint"], "network.yaml"),
    (endpoint_for_everybody, "network", ["GitEndpoint: lets anybody *", "GitEndpoint: does not admit"], "network.yaml"),
    (endpoint_without_policy, "network", ["DynamoDbEndpoint: does not admit this account", "lets anybody *"], "network.yaml"),
    (packages_that_are_refused, "network", ["S3Endpoint: refuses amazonlinux-2-repos"], "network.yaml"),
    (anybodys_buckets, "network", ["S3Endpoint: lets anybody s3:GetObject"], "network.yaml"),
]
