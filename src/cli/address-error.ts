import { ConfigError } from "../config/config-error.ts";
import type { Config } from "../config/schema.ts";

/** A port of the gateway, with the flags for its address. */
interface Place {
  readonly hostFlag: string;
  readonly host: string;
  readonly portFlag: string;
  readonly port: number;
}

/** Turns the error of an address that is not available into a ConfigError; returns other errors unchanged. */
export function addressError(error: unknown, config: Config): unknown {
  const wrong = wrongPart(error);
  if (wrong === undefined) return error;
  const places = placesOf(config);
  // The message has the port; for a wrong host it has the host's name. This also holds for errors from other threads.
  const text = String(error);
  const named = places.filter(({ port, host }) =>
    wrong.isHost ? text.endsWith(` ${host}`) : new RegExp(`port ${port}\\b`, "i").test(text),
  );
  const suspects = named.length > 0 ? named : places;
  // The metrics port may have the host of the main one.
  const flags = new Set(suspects.map(({ hostFlag, portFlag }) => (wrong.isHost ? hostFlag : portFlag)));
  const addresses = new Set(suspects.map(({ host, port }) => (wrong.isHost ? host : `${host}:${port}`)));
  return new ConfigError([...flags].join(", "), `${[...addresses].join(" or ")} ${wrong.text}`);
}

function placesOf(config: Config): Place[] {
  const { host, port, adminHost, adminPort, prometheusHost, prometheusPort } = config;
  const places: Place[] = [{ hostFlag: "--host", host, portFlag: "--port", port }];
  if (adminPort !== undefined) {
    places.push({ hostFlag: "--admin-host", host: adminHost, portFlag: "--admin-port", port: adminPort });
  } else if (prometheusPort !== 0) {
    places.push({
      hostFlag: prometheusHost === undefined ? "--host" : "--prometheus-host",
      host: prometheusHost ?? host,
      portFlag: "--prometheus-port",
      port: prometheusPort,
    });
  }
  return places;
}

function wrongPart(error: unknown): { readonly isHost: boolean; readonly text: string } | undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "EADDRINUSE":
      return { isHost: false, text: `is in use (${code})` };
    case "EACCES":
      return { isHost: false, text: `cannot be listened on: this user may not (${code})` };
    case "EADDRNOTAVAIL":
      return { isHost: true, text: `is no address of this machine (${code})` };
    default:
      // Bun's error says no more if the host name does not resolve.
      return /Failed to listen/.test(String(error))
        ? { isHost: true, text: "cannot be listened on: there is no such host" }
        : undefined;
  }
}
