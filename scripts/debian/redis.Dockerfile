# redis:7 out of Debian's packages: user 999 and its /data, as the official image has them.
ARG BASE
FROM ${BASE}
RUN groupadd --system --gid 999 redis && useradd --system --uid 999 --gid 999 --no-create-home redis \
 && apt-get update -q \
 && apt-get install -y -q --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 999 -g 999 /data
VOLUME /data
WORKDIR /data
EXPOSE 6379
CMD ["redis-server"]
