# An image of nothing but the program, with NSQ's names as links, so that what
# starts /nsqd, /nsqlookupd or /nsq_to_file in another image starts it in this.
#
#	docker build -t nsqd-lite .
#
# Where the first image cannot be had, or with a program that was built before, the
# first stage is made by hand:
#
#	bash contrib/package/image DIRECTORY/out [PROGRAM]
#	docker build -t nsqd-lite --build-context build=DIRECTORY .
FROM golang:1.26 AS build
WORKDIR /src
COPY . .
RUN bash contrib/package/image /out

FROM scratch
COPY --from=build /out/root/ /
COPY --from=build --chown=65532:65532 /out/data/ /data/
# The names are found with and without their slash.
ENV PATH=/
USER 65532:65532
VOLUME /data
WORKDIR /data
EXPOSE 4150 4151 4160 4161 4171
HEALTHCHECK --interval=10s --timeout=5s CMD ["/nsqd-lite", "check", "--ready"]
# No ENTRYPOINT, as in NSQ's image: what is typed after the image's name is a
# program and its flags.
CMD ["/nsqd", "--data-path=/data"]
