import type { HyphaServer, MethodMessage, RpcHandler } from "../../lib/service/hypha_rpc.ts";

/** A registered function: one positional argument per parameter, then the context. */
export type ServiceFunction = (...args: unknown[]) => Promise<unknown>;

/** A fake server: it keeps what is registered, and calls it as the RPC client does. */
export function fakeServer() {
  const handlers: [string, RpcHandler][] = [];
  let api: Record<string, unknown> = {};
  const server: HyphaServer = {
    rpc: {
      on: (event, handler) => handlers.push([event, handler]),
      off: () => {},
      disconnect: () => Promise.resolve(),
    },
    config: { workspace: "ws-1", "client_id": "c" },
    registerService(value) {
      api = value;
      return Promise.resolve({ id: `ws-1/c:${value.id}` });
    },
    unregisterService: () => Promise.resolve(),
    getServiceInfo: (id) => Promise.resolve({ id }),
    echo: (value) => Promise.resolve(value),
  };
  const fire = (event: string, message: unknown) => {
    for (const [name, handler] of handlers.toReversed()) if (name === event) handler(message);
  };
  return {
    server,
    fire,
    function: (name: string) => api[name] as ServiceFunction,
    get api() {
      return api;
    },
    call(
      name: string,
      args: unknown[],
      kwargs?: Record<string, unknown>,
      context: unknown = { from: "ws-1/caller", ws: "ws-1" },
    ): Promise<unknown> {
      const message: MethodMessage = {
        method: `services.conda.${name}`,
        args: kwargs === undefined ? args : [...args, kwargs],
        ...(kwargs === undefined ? {} : { "with_kwargs": true }),
      };
      fire("method", message);
      return (api[name] as ServiceFunction)(...message.args ?? [], context);
    },
  };
}
