/** The four states of an instance: `cold -> starting -> hot -> stopping -> cold`; a start that fails leads back to `cold`. */
export type InstanceState = 'cold' | 'starting' | 'hot' | 'stopping'

/** Why an instance is brought down; `start_failed` and `crashed` clean up after what did not work. */
export type StopReason = 'idle' | 'manual' | 'evicted' | 'start_failed' | 'crashed' | 'removed' | 'shutdown'
