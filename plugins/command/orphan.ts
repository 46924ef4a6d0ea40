import { endTree, hasInEnvironment, processInfo, type TreeRecord } from 'hestia'

/**
 * Ends a start command whose gateway was killed in the middle of it, with everything that it has started; else it would bring up
 * what is being brought down. Nothing where its pid has come to be somebody else's.
 * @throws when some of it can't be ended.
 */
export async function endOrphan(tree: TreeRecord, graceMs: number): Promise<void> {
  const isSame = processInfo(tree.pid)?.startTime === tree.startTime && hasInEnvironment(tree.pid, tree.cookie)
  if (isSame) await endTree(tree, 'SIGTERM', graceMs)
}
