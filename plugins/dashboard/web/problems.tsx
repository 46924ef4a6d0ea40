import { hrefOf } from './route.ts'
import { type Problem, problems } from './system.ts'

const placeOf = ({ file, line, column }: Problem): string => [file, line, column].filter((part) => part !== undefined).join(':')

/** Where a file broke, the line itself if it is known, and what to do. */
export const ProblemItem = ({ of, problem }: { of?: string; problem: Problem }) => {
  const { excerpt, column, path, message } = problem
  return (
    <li class="problem">
      <p>
        <code class="place">{placeOf(problem)}</code> {of && <span class="tag">{of}</span>}
      </p>
      <p>
        {path && <code>{path}</code>} {message}
      </p>
      {excerpt !== undefined && (
        <pre>
          {excerpt}
          {column !== undefined && `\n${excerpt.slice(0, column - 1).replace(/[^\t]/g, ' ')}^`}
        </pre>
      )}
    </li>
  )
}

/** Stands above every page while a file is broken. */
export const ProblemBanner = () => {
  const [first, ...others] = problems.value
  if (!first) return null
  return (
    <div class="banner bad" role="alert">
      <p>
        <b>A change was refused; what was there before serves on.</b> <code>{placeOf(first.problem)}</code>{' '}
        {first.problem.path && <code>{first.problem.path}</code>} {first.problem.message}
        {others.length > 0 && ` (and ${others.length} more)`}
      </p>
      <a href={hrefOf('system')}>Look at it</a>
    </div>
  )
}
