/**
 * Belongs to the gateway alone. NODE_OPTIONS and its like would load the gateway's own loaders and debuggers into every
 * program that is a Node program, or have it write to the gateway's channel; what `npm start` sets describes the gateway's own
 * package; HESTIA_* are overrides of its configuration, secrets among them. A program that needs one of them gets it by `env`.
 */
const PRIVATE =
  /^(?:NODE_(?:OPTIONS|CHANNEL_.*|UNIQUE_ID|V8_COVERAGE)|(?:HESTIA|TSX|TAP|npm_package|npm_lifecycle)_.*|npm_config_local_prefix)$/

/**
 * The environment of a program that is started for a service: the gateway's without what is its own, `own` over it, and the
 * cookie by which everything that comes from the program is found again; see {@link TreeRecord}.
 */
export function childEnvironment(
  own: Readonly<Record<string, string | number | boolean>>,
  cookie: string,
): Record<string, string> {
  const inherited = Object.entries(process.env).filter(([name, value]) => value !== undefined && !PRIVATE.test(name))
  return {
    ...(Object.fromEntries(inherited) as Record<string, string>),
    ...Object.fromEntries(Object.entries(own).map(([name, value]) => [name, String(value)])),
    // A gateway that is itself a service hands its own cookie on: who ends the outer one ends all of it.
    HESTIA_COOKIE: [process.env.HESTIA_COOKIE, cookie].filter(Boolean).join(':'),
  }
}
