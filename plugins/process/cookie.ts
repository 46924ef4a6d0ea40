import { createHash, randomBytes } from 'node:crypto'

/**
 * Every process that is started carries a cookie in its environment, and so does all that comes from it. Its first half names
 * the gateway, by its configuration file: so what a gateway was about to write down when it was killed is found all the same.
 */
export const newCookie = (configFile: string): string => cookiePrefix(configFile) + randomBytes(8).toString('hex')

/** What the cookies of the gateway with this configuration file begin with. */
export const cookiePrefix = (configFile: string): string => createHash('sha256').update(configFile).digest('hex').slice(0, 16)
