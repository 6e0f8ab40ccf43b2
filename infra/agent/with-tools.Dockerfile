# An example: the agent's image with a project's own tools, here those of a project in Rust, and with the AWS CLI for scripts that call AWS.
#
#   docker build --file infra/agent/with-tools.Dockerfile --build-arg AGENT=bellhop-agent --tag rust-agent infra/agent
ARG AGENT=bellhop-agent
FROM ${AGENT}
USER root
RUN dnf install -y --setopt=install_weak_deps=False awscli-2 cargo jq rust unzip \
    && dnf clean all
USER agent
