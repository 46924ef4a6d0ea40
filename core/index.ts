/**
 * The only door for authors of plugins and strategies: import from `hestia`.
 * @module hestia
 */
export { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
export { Value } from '@sinclair/typebox/value'
export { type Address, addressOf, checkPath } from './address.ts'
export { admitHot } from './admit-hot.ts'
export type { Config, ResolvedInstance, ResolvedService, Section } from './config/index.ts'
export { asError, ERRORS, type ErrorCode, type ErrorDetails, HestiaError, messageOf } from './errors.ts'
export type { EventListener, EventMap, Events, EventType, HestiaEvent, RoutingReason } from './events.ts'
export type { Hestia, PluginStatus, ReloadResult } from './hestia.ts'
export type {
  BeforeStartEvent,
  HookName,
  Hooks,
  OnIdleEvent,
  OnReadyEvent,
  Registration,
  Resolution,
  ResolveUpstreamEvent,
  StillBusy,
} from './hooks.ts'
export type { Instance, InstanceState, StarterData, StopReason } from './instance.ts'
export type { Lease, LeaseKind } from './lease.ts'
export type { Change, InstanceListener } from './occupancy.ts'
export type { Admit, CollectedResponse, Forward } from './offers.ts'
export { definePlugin, type HestiaPlugin, type PluginDefinition, type Report, type StarterTraits } from './plugin.ts'
export { formatProblem, type Problem, ProblemError } from './problem.ts'
export { type RequestParts, RequestView } from './request-view.ts'
export type { Decision } from './routing.ts'
export type { Service } from './service.ts'
export type { Services } from './services.ts'
export { type Choice, defineStrategy, type InstanceName, type InstanceView, type ServiceView, type Strategy } from './strategy.ts'
export type { Tunnels } from './tunnel.ts'
export { type PendingUpgrade, upgradeOf } from './upgrade.ts'
