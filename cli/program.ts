import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { addActivities } from './commands/activities.ts'
import { addBuild } from './commands/build.ts'
import { addCheck } from './commands/check.ts'
import { addCompletion } from './commands/completion.ts'
import { addInit } from './commands/init.ts'
import { addKeys } from './commands/keys.ts'
import { addLogs } from './commands/logs.ts'
import { addMigrate } from './commands/migrate.ts'
import { addNew } from './commands/new.ts'
import { addPassword } from './commands/password.ts'
import { addPlugins } from './commands/plugins.ts'
import { addReload } from './commands/reload.ts'
import { addRoutes } from './commands/routes.ts'
import { addSchema } from './commands/schema.ts'
import { addServe } from './commands/serve.ts'
import { addStart } from './commands/start.ts'
import { addStatus } from './commands/status.ts'
import { addStop } from './commands/stop.ts'
import { addTop } from './commands/top.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

const EPILOGUE = `
Exit codes: 0 done, 1 failed, 2 the command line is not understood, 3 no gateway answers, 4 not permitted.
Environment: HESTIA_CONFIG (--config), HESTIA_URL (--url), HESTIA_KEY (a key for a gateway with auth), NO_COLOR, FORCE_COLOR.`

/** All commands; each one loads what it needs only when it runs. Parsing throws `CommanderError` instead of ending the process. */
export function makeProgram(): Command {
  const program = new Command('hestia')
    .description('The on-demand service gateway. Without a command it runs the gateway.')
    .version(version)
    .option('-c, --config <file>', 'configuration (default: hestia_config.yml)')
    .option('--url <url>', 'address of the running gateway (default: as the configuration says)')
    .option('--key-file <file>', 'file with the key to show to the gateway')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', EPILOGUE)
    .showHelpAfterError('(hestia --help tells what there is)')
    .exitOverride()
  const add = [
    addServe,
    addCheck,
    addInit,
    addMigrate,
    addStatus,
    addStart,
    addStop,
    addLogs,
    addTop,
    addActivities,
    addReload,
    addKeys,
    addPassword,
    addRoutes,
    addPlugins,
    addSchema,
    addNew,
    addBuild,
    addCompletion,
  ]
  for (const each of add) each(program)
  return program
}
