import type { DescribedVersion } from './description.ts'
import type { TaskRow, TemplateRow } from './state.ts'

/** Whether a server is of that version or newer; one that doesn't say counts as new. */
export function isSince(version: string, major: number, minor: number): boolean {
  const [, first, second] = /^v?(\d+)\.(\d+)/.exec(version) ?? []
  if (first === undefined) return true
  return Number(first) > major || (Number(first) === major && Number(second) >= minor)
}

/** Whose description its answers fit; those before 2.13 fit none, as they say null where the description has no null. */
export function describedVersion(version: string): DescribedVersion | undefined {
  if (!isSince(version, 2, 13)) return undefined
  return isSince(version, 2, 18) ? '2.18' : '2.16'
}

/** A task as the API of that version shows it. */
export function shownTask({ output: _output, start, end, params, ...row }: TaskRow, version: string): object {
  if (isSince(version, 2, 13))
    return {
      ...row,
      playbook: '',
      limit: '',
      ...(params ? { params } : {}),
      ...(start === null ? {} : { start }),
      ...(end === null ? {} : { end }),
      ...(isSince(version, 2, 18) ? { environment_ids: [1], runner_id: 0 } : {}),
    }
  const unset = [
    'arguments',
    'git_branch',
    'integration_id',
    'schedule_id',
    'commit_hash',
    'build_task_id',
    'version',
    'inventory_id',
  ]
  return {
    ...row,
    debug: false,
    dry_run: false,
    diff: false,
    playbook: '',
    secret: '',
    ...Object.fromEntries(unset.map((name) => [name, null])),
    start,
    end,
  }
}

/** A template as the API of that version shows it, alone or in the list of its project. */
export function shownTemplate(
  { environment_id = 0, environment_ids, task_params, ...row }: TemplateRow,
  version: string,
  inList = false,
): object {
  if (isSince(version, 2, 18)) {
    const ids = environment_ids ?? (environment_id > 0 ? [environment_id] : [])
    return { ...row, ...(task_params ? { task_params } : {}), environment_id: 0, environment_ids: ids }
  }
  const hasSurvey = !(inList && isSince(version, 2, 12) && !isSince(version, 2, 13))
  return {
    ...row,
    environment_id,
    ...(environment_ids ? { environment_ids } : {}),
    ...(hasSurvey ? {} : { survey_vars: null }),
    ...(isSince(version, 2, 13)
      ? task_params
        ? { task_params }
        : {}
      : { arguments: null, description: null, vault_key_id: null }),
  }
}
