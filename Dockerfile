# The image holds one static binary, root certificates for TLS to an external NATS, and an empty /data.
FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/keyledger ./cmd/keyledger && mkdir /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/keyledger /keyledger
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV KEYLEDGER_DATA=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD ["/keyledger", "health"]
ENTRYPOINT ["/keyledger"]
CMD ["serve"]
