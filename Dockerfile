# An image of nothing but the program, with NSQ's names as links, so that what
# starts /nsqd, /nsqlookupd or /nsq_to_file in another image starts it in this.
FROM golang:1.26 AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -tags nethttpomithttp2 -ldflags '-s -w' -o /out/nsqd-lite ./cmd/nsqd-lite && \
    for name in nsqd nsqlookupd nsqadmin nsq_to_file nsq_to_http nsq_to_nsq nsq_tail nsq_stat to_nsq; do ln -s nsqd-lite "/out/$name"; done && \
    mkdir /out/data && chown 65532:65532 /out/data

FROM scratch
COPY --from=build /out/ /
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER 65532:65532
VOLUME /data
WORKDIR /data
EXPOSE 4150 4151 4160 4161 4171
HEALTHCHECK --interval=10s --timeout=5s CMD ["/nsqd-lite", "check", "--ready"]
ENTRYPOINT ["/nsqd-lite"]
CMD ["nsqd", "--data-path=/data"]
