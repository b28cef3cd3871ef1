# nginx:1.22 out of Debian's packages: user 101, curl for healthchecks, logs on the container's streams, as the official image has them.
ARG BASE
FROM ${BASE}
RUN groupadd --system --gid 101 nginx && useradd --system --uid 101 --gid 101 --no-create-home nginx \
 && apt-get update -q \
 && apt-get install -y -q --no-install-recommends curl nginx \
 && rm -rf /var/lib/apt/lists/* \
 && ln -sf /dev/stdout /var/log/nginx/access.log \
 && ln -sf /dev/stderr /var/log/nginx/error.log
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
