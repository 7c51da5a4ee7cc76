/** Paths of the methods of SGLang's scheduler. Their messages are in `transport/grpc/generated/`. */
export const SGLANG = {
  generate: "/sglang.grpc.scheduler.SglangScheduler/Generate",
  embed: "/sglang.grpc.scheduler.SglangScheduler/Embed",
  healthCheck: "/sglang.grpc.scheduler.SglangScheduler/HealthCheck",
  abort: "/sglang.grpc.scheduler.SglangScheduler/Abort",
  getModelInfo: "/sglang.grpc.scheduler.SglangScheduler/GetModelInfo",
  getServerInfo: "/sglang.grpc.scheduler.SglangScheduler/GetServerInfo",
  getLoads: "/sglang.grpc.scheduler.SglangScheduler/GetLoads",
  flushCache: "/sglang.grpc.scheduler.SglangScheduler/FlushCache",
  startProfile: "/sglang.grpc.scheduler.SglangScheduler/StartProfile",
  stopProfile: "/sglang.grpc.scheduler.SglangScheduler/StopProfile",
  getTokenizer: "/sglang.grpc.scheduler.SglangScheduler/GetTokenizer",
  subscribeKvEvents: "/sglang.grpc.scheduler.SglangScheduler/SubscribeKvEvents",
  loadLoRAAdapter: "/sglang.grpc.scheduler.SglangScheduler/LoadLoRAAdapter",
  unloadLoRAAdapter: "/sglang.grpc.scheduler.SglangScheduler/UnloadLoRAAdapter",
  listLoadedLoRAAdapters: "/sglang.grpc.scheduler.SglangScheduler/ListLoadedLoRAAdapters",
} as const;
