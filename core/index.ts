/**
 * The only door for authors of plugins and strategies: import from `hestia`.
 * @module hestia
 */
export { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
export { Value } from '@sinclair/typebox/value'
export type { Config, ResolvedInstance, ResolvedMachine, ResolvedService, Section } from './config/index.ts'
export { suggest } from './config/suggest.ts'
export { Deadline } from './deadline.ts'
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
export { withEsbuild } from './files/bundle.ts'
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
export { type Address, addressOf, checkPath, climbs } from './http/address.ts'
export { type Caller, isAllowed, type Permission, type RoutePermission, refusalFor, requirePermission } from './http/caller.ts'
export { ErrorSchema, errorResponses, errorSentences, FORWARDING_ERRORS, GENERAL_ERRORS } from './http/error-responses.ts'
export { editHeader, type HeaderEdits } from './http/header-edits.ts'
export { onceClosed } from './http/once-closed.ts'
export { type RequestParts, RequestView } from './http/request-view.ts'
export type { RegisteredRoute } from './http/route-table.ts'
export { setTrace, type TraceContext, traceparentOf } from './http/trace-context.ts'
export type { Tunnels } from './http/tunnel.ts'
export { leaveBodies } from './http/unparsed-bodies.ts'
export { type PendingUpgrade, upgradeOf } from './http/upgrade.ts'
export { isForeign } from './http/web-origin.ts'
export type { AnswerListener, Carrier } from './http1/answer-listener.ts'
export { ClientPool } from './http1/client-pool.ts'
export { Connector, type Opened } from './http1/connector.ts'
export { WireError, type WireErrorCode } from './http1/errors.ts'
export { isShared, wholeBodyOf } from './http1/lane-request.ts'
export { copiesParts } from './http1/lane-response.ts'
export type { OutgoingRequest } from './http1/outgoing-request.ts'
export { FOR_GOOD, type Place, returnOf } from './http1/read-buffer.ts'
export { admitHot } from './instances/admit-hot.ts'
export { Gone } from './instances/adoption.ts'
export type { Instance } from './instances/instance.ts'
export type { Lease, LeaseKind } from './instances/lease.ts'
export type { Owner, StarterData, StillBusy } from './instances/lifecycle.ts'
export type { Change, InstanceListener } from './instances/occupancy.ts'
export type { InstanceRecord } from './instances/record.ts'
export type { Service } from './instances/service.ts'
export type { Services } from './instances/services.ts'
export type { InstanceState, StopReason } from './instances/state.ts'
export { redactText } from './log/redact.ts'
export type {
  Activity,
  ActivityFilter,
  Admit,
  AuthKey,
  AutomationStatus,
  AutomationTask,
  CollectedResponse,
  Forward,
  FrontDoor,
  OutputLine,
  OutputOf,
  PlacementStatus,
  Store,
} from './offers.ts'
export { offerOutput } from './offers.ts'
export { faultOfHash, hashPassword, verifyPassword } from './password.ts'
export { definePlugin, type HestiaPlugin, type PluginDefinition, type Report, type StarterTraits } from './plugin.ts'
export { type Connection, pause, pauseAfter, probeOver } from './probing.ts'
export { formatProblem, type Problem, ProblemError } from './problem.ts'
export { childEnvironment } from './processes/environment.ts'
export { allProcesses, hasInEnvironment, type ProcessInfo, processInfo } from './processes/proc.ts'
export { endTree, type TreeRecord } from './processes/tree.ts'
export { rendezvous } from './rendezvous.ts'
export type { Decision } from './routing.ts'
export { type Choice, defineStrategy, type InstanceName, type InstanceView, type ServiceView, type Strategy } from './strategy.ts'
