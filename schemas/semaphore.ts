import { type Static, Type } from '@sinclair/typebox'
import { AutomationTask } from './api.ts'
import { HttpUrl, Milliseconds } from './units.ts'

/** Something of Semaphore's: its number, or its name. */
const Ref = (description: string) =>
  Type.Union([Type.Integer({ minimum: 1 }), Type.String({ minLength: 1 })], {
    description: `${description}: its number or its name.`,
  })

/** A variable's name. Names that Ansible itself reads could run code on the machine of Semaphore. */
const VariableName = '^(?!ansible_)[A-Za-z_][A-Za-z0-9_]{0,63}$'
/** What neither a template of Ansible nor a shell reads anything into. */
const VariableValue = '^[A-Za-z0-9._:/@,+=-]{1,128}$'

const Variables = (description: string) =>
  Type.Record(
    Type.String({ pattern: VariableName }),
    Type.Union([
      Type.String({ title: 'letters, digits and ._:/@,+=- (at most 128)', pattern: VariableValue }),
      Type.Number(),
      Type.Boolean(),
    ]),
    { additionalProperties: false, description },
  )

const timers = {
  task_timeout_ms: Milliseconds({
    default: 600_000,
    minimum: 1,
    description: 'How long a task may take in all; then it is stopped in Semaphore and counts as failed.',
  }),
  queue_timeout_ms: Milliseconds({
    default: 60_000,
    minimum: 1,
    description: "How long a task may wait for its turn in Semaphore's queue.",
  }),
  poll_interval_ms: Milliseconds({
    default: 1000,
    minimum: 10,
    description: 'How often a task is looked at; twice as long after 10 times that, 5 times as long after 60 times.',
  }),
}

/** `plugins.semaphore`: where Semaphore is, and defaults of all services. */
export const SemaphoreOptions = Type.Object(
  {
    base_url: HttpUrl({ description: 'Address of Semaphore, with the path of its `web_host` if it has one, without `/api`.' }),
    token: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'API token of a user of its own; rather from a file or a variable than written out.',
      }),
    ),
    user: Type.Optional(Type.String({ minLength: 1, description: 'Instead of a token: login name, with `password`.' })),
    password: Type.Optional(Type.String({ minLength: 1, description: 'Instead of a token: password of `user`.' })),
    ca_file: Type.Optional(
      Type.String({ minLength: 1, description: "PEM file of a certificate authority, relative to the config file's folder." }),
    ),
    reject_unauthorized: Type.Boolean({
      default: true,
      description: 'Whether the certificate of Semaphore is checked; rather give `ca_file` than switch this off.',
    }),
    timeout_ms: Milliseconds({ default: 10_000, minimum: 1, description: 'Longest time of one call to Semaphore.' }),
    project: Type.Optional(Ref('Project of all services that name none')),
    ...timers,
  },
  { additionalProperties: false, default: {} },
)
export type SemaphoreOptions = Static<typeof SemaphoreOptions>

/** `services.<id>.semaphore`: the templates that bring a service up and down. */
export const SemaphoreServiceOptions = Type.Object(
  {
    project: Ref('Project of the templates'),
    start_template: Ref('Template that starts the service'),
    stop_template: Type.Optional(Ref('Template that stops it; without one nothing does')),
    machine_id: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
        description: 'Name of the machine, sent as `hestia_host`; the `machine` of the instance if absent.',
      }),
    ),
    limit: Type.Optional(
      Type.String({
        title: 'names of hosts, separated by commas',
        pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*(,[A-Za-z0-9][A-Za-z0-9._-]*)*$',
        description:
          'Hosts of the inventory that the playbook is limited to; the template must allow it ("Ansible prompts: Limit").',
      }),
    ),
    vars: Type.Optional(
      Variables('Values for the survey variables of the templates; those that a template does not declare are left out.'),
    ),
    ...timers,
  },
  { additionalProperties: false },
)
export type SemaphoreServiceOptions = Static<typeof SemaphoreServiceOptions>

/** `POST /v1/semaphore/start` and `/stop`. */
export const SemaphoreOrder = Type.Object(
  {
    serviceId: Type.String({ minLength: 1, description: 'A service with a section `semaphore`.' }),
    machineId: Type.String({ minLength: 1, description: 'Machine of one of its instances.' }),
    environment: Type.Optional(Variables('Values for survey variables, over those of the configuration.')),
    timeout: Type.Optional(Milliseconds({ minimum: 1, description: 'Instead of `task_timeout_ms`, for this task.' })),
    force: Type.Optional(
      Type.Boolean({ description: 'Run the template also when the service is hot (start) or cold (stop) already.' }),
    ),
  },
  { additionalProperties: false },
)
export type SemaphoreOrder = Static<typeof SemaphoreOrder>

/** A task that was taken on. */
export const SemaphoreAccepted = Type.Object({
  taskId: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Number of the task in Semaphore; null where a start was given up before there was one.',
  }),
  status: Type.String({ description: "Semaphore's word for how far it is." }),
  action: Type.Union([Type.Literal('start'), Type.Literal('stop')]),
  serviceId: Type.String(),
  machineId: Type.Union([Type.String(), Type.Null()]),
  state: Type.String({ description: 'State of the instance.' }),
  message: Type.String(),
})
export type SemaphoreAccepted = Static<typeof SemaphoreAccepted>

/** `GET /v1/semaphore/status`. */
export const SemaphoreQuery = Type.Object({
  serviceId: Type.String({ minLength: 1 }),
  machineId: Type.Optional(Type.String({ minLength: 1, description: 'Needed where the service has more than one instance.' })),
})
export type SemaphoreQuery = Static<typeof SemaphoreQuery>

export const SemaphoreStatus = Type.Object({
  serviceId: Type.String(),
  machineId: Type.Union([Type.String(), Type.Null()]),
  provider: Type.Literal('semaphore'),
  state: Type.String({ description: 'State of the instance.' }),
  current_task: Type.Union([AutomationTask, Type.Null()]),
  last_task: Type.Union([AutomationTask, Type.Null()]),
})
export type SemaphoreStatus = Static<typeof SemaphoreStatus>
