import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Copy, DockerfileParser, type Env, type From } from 'dockerfile-ast'

const FILE = fileURLToPath(new URL('../../Dockerfile', import.meta.url))

export interface Step {
  readonly keyword: string
  /** Everything behind the keyword, continued lines joined. */
  readonly text: string
  /** The words behind the keyword and its flags; of the JSON form, its strings. */
  readonly words: readonly string[]
  /** `COPY --from=`: the stage. */
  readonly from?: string | undefined
  readonly env?: Readonly<Record<string, string>>
}

export interface Stage {
  readonly name: string | null
  readonly image: string
  readonly steps: readonly Step[]
}

export const dockerfileText = (): string => readFileSync(FILE, 'utf8')

/** The stages of the Dockerfile, in their order. */
export function dockerfileStages(text = dockerfileText()): Stage[] {
  const stages: { name: string | null; image: string; steps: Step[] }[] = []
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    const keyword = instruction.getKeyword()
    if (keyword === 'FROM') {
      const from = instruction as From
      stages.push({ name: from.getBuildStage(), image: from.getImage()!, steps: [] })
      continue
    }
    const text = instruction.getArgumentsContent() ?? ''
    const [json] = /\[".*"\]$/s.exec(text) ?? []
    const words = instruction.getArguments().map((argument) => argument.getValue())
    stages.at(-1)!.steps.push({
      keyword,
      text,
      words: json === undefined ? words : (JSON.parse(json) as string[]),
      ...(keyword === 'COPY' ? { from: (instruction as Copy).getFromFlag()?.getValue() ?? undefined } : {}),
      ...(keyword === 'ENV'
        ? { env: Object.fromEntries((instruction as Env).getProperties().map((one) => [one.getName(), one.getValue() ?? ''])) }
        : {}),
    })
  }
  return stages
}
