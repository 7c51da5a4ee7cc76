import { z } from "zod";

/** Options of what remembers the workers of sessions: a policy, or the gateway's `sticky_sessions` with any policy. */
export const SESSION_OPTIONS = {
  maxIdleSecs: z
    .int()
    .min(1)
    .max(2_592_000)
    .default(14_400)
    .meta({
      description: "a session without a request for this long is forgotten, seconds.",
      aliases: ["--sticky-key-idle-secs"],
      onlyWith: ["stickySessions"],
    }),
  maxSessions: z
    .int()
    .min(64)
    .max(4_194_304)
    .default(65_536)
    .meta({
      description:
        "sessions that are remembered for a model; beyond it, those without a request for longest are forgotten. Each takes 16 bytes.",
      onlyWith: ["stickySessions"],
    }),
};
