/**
 * The command line for a Node program as it runs outside of tests: tap gives its loaders to every child of a test by
 * NODE_OPTIONS, which makes a start take several times as long.
 */
export const plainNode = (...args: string[]): string[] => ['env', '-u', 'NODE_OPTIONS', process.execPath, ...args]
