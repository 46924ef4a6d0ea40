import type { Config, Report } from 'hestia'
import type { SemaphoreOptions } from '../../schemas/semaphore.ts'

/** Reports credentials that are missing, half there, or there twice. */
export function checkCredentials(config: Config, report: Report): void {
  const { token, user, password } = config.plugins.get('semaphore') as SemaphoreOptions
  const place = ['plugins', 'semaphore']
  const either = 'either "token", or "user" and "password"'
  if (token !== undefined && (user !== undefined || password !== undefined)) report(place, `give ${either}, not both`)
  else if (token === undefined && (user === undefined || password === undefined))
    report(place, `nothing says who Hestia is in Semaphore: give ${either}`)
}
