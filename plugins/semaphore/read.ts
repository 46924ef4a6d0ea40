/** One task, as far as it matters here. Old servers say null where newer ones leave out. */
export interface Task {
  readonly id: number
  readonly template: number
  readonly status: string
  readonly message: string
  /** When it was really begun, in Semaphore's time; null while it never was. */
  readonly start: string | null
  readonly created: string | null
  readonly end: string | null
}

export interface SurveyVariable {
  readonly name: string
  /** `''`, `int`, `enum`, `secret`, ... */
  readonly type: string
  readonly required: boolean
  readonly values: readonly string[]
}

export interface Template {
  readonly id: number
  readonly name: string
  /** `''` before there were others than Ansible. */
  readonly app: string
  readonly hasVariableGroup: boolean
  readonly allowsLimit: boolean
  readonly allowsAnyVariable: boolean
  readonly survey: readonly SurveyVariable[]
}

export interface Named {
  readonly id: number
  readonly name: string
}

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const textOrNull = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)
const number = (value: unknown): number => (typeof value === 'number' ? value : 0)

/** The elements of a list; none where the server says null, as it does of empty ones. */
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

export function readNamed(value: unknown): Named {
  const { id, name } = fieldsOf(value)
  return { id: number(id), name: text(name) }
}

export function readTask(value: unknown): Task {
  const { id, template_id, status, message, start, created, end } = fieldsOf(value)
  return {
    id: number(id),
    template: number(template_id),
    status: text(status),
    message: text(message),
    start: textOrNull(start),
    created: textOrNull(created),
    end: textOrNull(end),
  }
}

export function readTemplate(value: unknown): Template {
  const fields = fieldsOf(value)
  const params = fieldsOf(fields.task_params)
  return {
    ...readNamed(value),
    app: text(fields.app),
    hasVariableGroup: number(fields.environment_id) > 0 || listOf(fields.environment_ids).length > 0,
    allowsLimit: params.allow_override_limit === true,
    allowsAnyVariable: fields.allow_any_vars_in_task === true,
    survey: listOf(fields.survey_vars).map((entry) => {
      const { name, type, required, values } = fieldsOf(entry)
      return {
        name: text(name),
        type: text(type),
        required: required === true,
        values: listOf(values).map((one) => text(fieldsOf(one).value)),
      }
    }),
  }
}
