import type { Instance } from 'hestia'
import type { SemaphoreServiceOptions } from '../../schemas/semaphore.ts'
import { kindOf, SemaphoreError } from './errors.ts'
import { type Engine, machineOf, type Plan } from './kept.ts'
import type { Action } from './marker.ts'
import type { SurveyVariable, Template } from './read.ts'

/** Since then `limit` is ignored unless the template allows it: the playbook would hit the whole inventory. */
const LIMIT_IS_IGNORED_SINCE = [2, 13] as const
/** Hosts of an inventory that are no hosts. */
const GROUPS = new Set(['all', 'ungrouped'])

/**
 * What an action is started with, once it is sure that the server will do it as it is meant: limit, survey variables and variable
 * group of the template are looked at before anything runs.
 * @throws {SemaphoreError} `misconfigured`: what to change in Semaphore or in the section.
 */
export async function prepare(
  engine: Engine,
  instance: Instance,
  section: SemaphoreServiceOptions,
  action: Action,
  more: Readonly<Record<string, string>> = {},
): Promise<Plan | undefined> {
  const ref = action === 'start' ? section.start_template : section.stop_template
  if (ref === undefined) return undefined
  try {
    return await plan(engine, instance, section, action, ref, more)
  } catch (thrown) {
    // Whoever is told what to change in a template will have done so at the next try.
    if (kindOf(thrown) === 'misconfigured') engine.templates.forget()
    throw thrown
  }
}

async function plan(
  engine: Engine,
  instance: Instance,
  section: SemaphoreServiceOptions,
  action: Action,
  ref: number | string,
  more: Readonly<Record<string, string>>,
): Promise<Plan> {
  const { templates, log } = engine
  const project = await templates.project(section.project)
  const template = await templates.template(project, ref)
  const limit = section.limit?.split(',')
  if (limit) await refuseIgnoredLimit(engine, template, limit)
  const given = { ...stringsOf(section.vars ?? {}), ...more }
  const undeclared = template.allowsAnyVariable
    ? []
    : Object.keys(given).filter((name) => !template.survey.some((one) => one.name === name))
  if (undeclared.length > 0)
    log.warn(
      { service: instance.service.id, template: template.id, variables: undeclared },
      `not sent, as ${titleOf(template)} does not declare it in its survey: ${undeclared.join(', ')}`,
    )
  const environment = environmentOf(template, { ...contextOf(instance, action), ...given }, given)
  if (Object.keys(environment).length > 0 && !template.hasVariableGroup)
    throw unfit(template, 'has no variable group, and servers fail on variables then: give it one (an empty one will do)')
  return {
    project,
    template: template.id,
    ...(Object.keys(environment).length > 0 ? { environment } : {}),
    ...(limit ? { limit } : {}),
  }
}

/** Who is meant and what is to be done; sent where the template declares it. */
function contextOf(instance: Instance, action: Action): Record<string, string> {
  const host = machineOf(instance)
  return { hestia_service: instance.service.id, hestia_action: action, ...(host === undefined ? {} : { hestia_host: host }) }
}

/** Shell tasks get what is no string as `%!s(float64=3)`. */
const stringsOf = (variables: Readonly<Record<string, string | number | boolean>>): Record<string, string> =>
  Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]))

function environmentOf(
  template: Template,
  known: Readonly<Record<string, string>>,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const environment: Record<string, string> = template.allowsAnyVariable ? { ...given } : {}
  for (const variable of template.survey) {
    const value = known[variable.name]
    // The id of a task is put in when the task is made.
    if (variable.name === REQUEST_VARIABLE) environment[variable.name] = ''
    else if (value !== undefined) environment[variable.name] = checked(template, variable, value)
    else if (variable.required)
      throw unfit(
        template,
        variable.name === 'hestia_host'
          ? 'wants hestia_host: set "machine" of the instance, or "machine_id" in its section semaphore'
          : `requires the survey variable ${variable.name}, and the server fills in no default: set it under "vars" in the section semaphore`,
      )
  }
  return environment
}

/** The survey variable that gets the id of the task's message. */
export const REQUEST_VARIABLE = 'hestia_request'

function checked(template: Template, { name, type, values }: SurveyVariable, value: string): string {
  if (type === 'secret')
    throw unfit(
      template,
      `has ${name} as a secret, and what Hestia sends can be read by every member of the project: keep it in a variable group`,
    )
  if (type === 'enum' && values.length > 0 && !values.includes(value))
    throw unfit(template, `takes ${values.join(', ')} for ${name}, not "${value}"`)
  if (type === 'int' && !/^-?\d+$/.test(value)) throw unfit(template, `takes a whole number for ${name}, not "${value}"`)
  return value
}

async function refuseIgnoredLimit({ templates }: Engine, template: Template, limit: readonly string[]): Promise<void> {
  const group = limit.find((host) => GROUPS.has(host))
  if (group !== undefined) throw unfit(template, `is limited to "${group}", which is no host: name the hosts in "limit"`)
  if (template.app !== '' && template.app !== 'ansible')
    throw unfit(template, `is of the kind ${template.app}, which knows no limit: take "limit" out of the section semaphore`)
  if (template.allowsLimit || isOlder(await templates.version(), LIMIT_IS_IGNORED_SINCE)) return
  throw unfit(
    template,
    'does not let tasks set a limit, so that the playbook would run on the whole inventory: switch on "Ansible prompts: Limit" in the template',
  )
}

/** False for what can't be read. */
function isOlder(version: string | undefined, [major, minor]: readonly [number, number]): boolean {
  const [, first, second] = /^v?(\d+)\.(\d+)/.exec(version ?? '') ?? []
  if (first === undefined || Number(first) === 0) return false
  return Number(first) < major || (Number(first) === major && Number(second) < minor)
}

const titleOf = ({ name, id }: Template): string => `template ${id}${name && ` ("${name}")`} of Semaphore`

const unfit = (template: Template, why: string): SemaphoreError =>
  new SemaphoreError('misconfigured', `${titleOf(template)} ${why}`)
