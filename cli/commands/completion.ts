import { existsSync, readFileSync } from 'node:fs'
import { Argument, type Command } from 'commander'
import { configFileOf, print } from '../context.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

const HELP = `
bash: source <(hestia completion bash)          in ~/.bashrc
zsh:  source <(hestia completion zsh)           in ~/.zshrc, after compinit
fish: hestia completion fish > ~/.config/fish/completions/hestia.fish`

/** Words of one command, as completion offers them. */
interface Entry {
  readonly path: readonly string[]
  readonly description: string
  readonly commands: readonly string[]
  readonly options: readonly { readonly flag: string; readonly description: string; readonly takesFile: boolean }[]
  /** Whether an argument of it is the name of a service. */
  readonly takesService: boolean
}

/** `hestia completion`: scripts for shells, made from the commands themselves. */
export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print the completion script of a shell')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .addHelpText('after', HELP)
    .action((shell: Shell) => {
      const entries = entriesOf(program)
      const write = { bash, zsh, fish }[shell]
      print(write(entries))
    })

  program
    .command('__services', { hidden: true })
    .description('names of services, for completion')
    .action(async (_options: unknown, command: Command) => {
      const file = configFileOf(command)
      if (!existsSync(file)) return
      const { serviceNames } = await import('../service-names.ts')
      for (const name of serviceNames(readFileSync(file, 'utf8'))) print(name)
    })
}

function entriesOf(command: Command, path: readonly string[] = []): Entry[] {
  const help = command.createHelp()
  const visible = help.visibleCommands(command).filter((each) => each.name() !== 'help')
  const globals = command.parent ? help.visibleGlobalOptions(command) : []
  help.showGlobalOptions = true
  const options = [...help.visibleOptions(command), ...(globals.length > 0 ? globals : help.visibleGlobalOptions(command))]
  const own: Entry = {
    path,
    description: command.description(),
    commands: visible.map((each) => each.name()),
    options: options.flatMap(({ long, description, flags }) =>
      long ? [{ flag: long, description, takesFile: /<file>|<folder>/.test(flags) }] : [],
    ),
    takesService: command.registeredArguments.some((argument) => argument.name() === 'service'),
  }
  return [own, ...visible.flatMap((each) => entriesOf(each, [...path, each.name()]))]
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

function bash(entries: readonly Entry[]): string {
  const cases = entries.map(({ path, commands, options, takesService }) => {
    const words = [...commands, ...options.map(({ flag }) => flag)].join(' ')
    const services = takesService ? ' $(hestia __services 2>/dev/null)' : ''
    return `    ${quoted(path.join(' '))}) words="${words}${services}" ;;`
  })
  const subcommands = entries.filter(({ path }) => path.length > 0).map(({ path }) => quoted(path.join(' ')))
  const files = [
    ...new Set(entries.flatMap(({ options }) => options.filter(({ takesFile }) => takesFile).map(({ flag }) => flag))),
  ]
  return `# hestia completion for bash
_hestia() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" words="" word next
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${path:+$path }$word"
    case "$next" in
      ${subcommands.join('|')}) path="$next" ;;
    esac
  done
  case "$previous" in
    ${[...files, '-c', '-o'].join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _hestia hestia`
}

function zsh(entries: readonly Entry[]): string {
  // zsh runs completions of bash; descriptions would be all that a script of its own had more.
  return `# hestia completion for zsh
autoload -U +X bashcompinit && bashcompinit
${bash(entries).replace(/^.*\n/, '')}`
}

function fish(entries: readonly Entry[]): string {
  const lines = entries.flatMap(({ path, options, takesService }) => {
    const [first, second] = path
    const seen = (name: string | undefined): string => (name === undefined ? '' : `__fish_seen_subcommand_from ${name}`)
    const condition = [seen(first), seen(second)].filter(Boolean).join('; and ')
    const here = condition === '' ? '' : ` -n ${quoted(condition)}`
    const parent = path.length === 2 ? seen(first) : '__fish_use_subcommand'
    const self = entries.find((entry) => entry.path === path)
    const name =
      path.length === 0
        ? []
        : [`complete -c hestia -f -n ${quoted(parent)} -a ${path.at(-1)} -d ${quoted(self?.description ?? '')}`]
    const flags = options.map(
      ({ flag, description, takesFile }) =>
        `complete -c hestia${here} -l ${flag.slice(2)} -d ${quoted(description)}${takesFile ? ' -rF' : ''}`,
    )
    const services = takesService ? [`complete -c hestia -f${here} -a '(hestia __services 2>/dev/null)'`] : []
    return [...name, ...flags, ...services]
  })
  return ['# hestia completion for fish', ...lines].join('\n')
}
