/** Whether the URL of a service says the version of the API already, as OpenAI clients have it in their base URL. */
const hasVersion = (url: string): boolean => /\/v1\/*$/.test(new URL(url).pathname)

/** The path below a service's URL that a path of the front door stands for. */
export function pathBelow(url: string, path: string): string {
  return hasVersion(url) && path.startsWith('/v1/') ? path.slice('/v1'.length) : path
}

/** Where a path of the front door is found at a service; Ollama's own API lies beside `/v1`, not below it. */
export function urlOf(url: string, path: string): string {
  const base = url.replace(/\/+$/, '')
  const root = path.startsWith('/v1/') ? base : base.replace(/\/v1$/, '')
  return root + pathBelow(url, path)
}
