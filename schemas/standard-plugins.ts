/**
 * Plugins that are on without being listed, in the order in which their hooks run. Imports nothing: what compiles Hestia reads it on
 * its own (`bin/compile.js`).
 */
export const STANDARD_PLUGINS = [
  'model-router',
  'strategies',
  'load-balancer',
  'queue',
  'process',
  'command',
  'health',
  'idle',
  'proxy',
  'requests',
  'api',
  'store',
  'activity',
  'metrics',
  'openapi',
  'dashboard',
] as const
