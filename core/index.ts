/**
 * The only door for authors of plugins and strategies: import from `hestia`.
 * @module hestia
 */
export { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
export { Value } from '@sinclair/typebox/value'
export type { Config, ResolvedInstance, ResolvedService, Section } from './config/index.ts'
export { asError, ERRORS, type ErrorCode, type ErrorDetails, HestiaError, messageOf } from './errors.ts'
export type {
  EventListener,
  EventMap,
  EventOf,
  Events,
  EventType,
  FinishedRequest,
  HestiaEvent,
  RoutingReason,
} from './events.ts'
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
} from './hooks.ts'
export { type Address, addressOf, checkPath } from './http/address.ts'
export { editHeader, type HeaderEdits } from './http/header-edits.ts'
export { type RequestParts, RequestView } from './http/request-view.ts'
export type { Tunnels } from './http/tunnel.ts'
export { type PendingUpgrade, upgradeOf } from './http/upgrade.ts'
export { admitHot } from './instances/admit-hot.ts'
export type { Instance } from './instances/instance.ts'
export type { Lease, LeaseKind } from './instances/lease.ts'
export type { Owner, StarterData, StillBusy } from './instances/lifecycle.ts'
export type { Change, InstanceListener } from './instances/occupancy.ts'
export type { Service } from './instances/service.ts'
export type { Services } from './instances/services.ts'
export type { InstanceState, StopReason } from './instances/state.ts'
export type {
  Activity,
  ActivityFilter,
  Admit,
  AuthKey,
  CollectedResponse,
  Forward,
  FrontDoor,
  InstanceRecord,
  PlacementStatus,
  Store,
} from './offers.ts'
export { definePlugin, type HestiaPlugin, type PluginDefinition, type Report, type StarterTraits } from './plugin.ts'
export { formatProblem, type Problem, ProblemError } from './problem.ts'
export { rendezvous } from './rendezvous.ts'
export type { Decision } from './routing.ts'
export { type Choice, defineStrategy, type InstanceName, type InstanceView, type ServiceView, type Strategy } from './strategy.ts'
