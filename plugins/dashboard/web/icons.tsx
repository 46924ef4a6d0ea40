import type { ComponentChildren } from 'preact'

const Icon = ({ children, size = 18 }: { children: ComponentChildren; size?: number }) => (
  <svg
    class="icon"
    viewBox="0 0 24 24"
    width={size}
    height={size}
    fill="none"
    stroke="currentColor"
    stroke-width="1.8"
    stroke-linecap="round"
    stroke-linejoin="round"
    aria-hidden="true"
    focusable="false"
  >
    {children}
  </svg>
)

/** Hestia's mark: a flame on its hearth. */
export const Flame = ({ size = 22 }: { size?: number }) => (
  <svg class="flame" viewBox="0 0 24 24" width={size} height={size} aria-hidden="true" focusable="false">
    <path
      fill="currentColor"
      d="M12.6 2.2c.7 3.7 5.6 5.7 5.6 11.2a6.2 6.2 0 0 1-12.4 0c0-2.4 1.2-3.8 2.4-5.1.2 1.5.9 2.4 1.9 2.9-.4-3.3.4-6.6 2.5-9z"
    />
    <path d="M5 22h14" stroke="currentColor" stroke-width="2" stroke-linecap="round" />
  </svg>
)

export const PlayIcon = () => (
  <Icon size={14}>
    <path fill="currentColor" d="M7 4.5v15l12-7.5z" />
  </Icon>
)
export const StopIcon = () => (
  <Icon size={14}>
    <rect fill="currentColor" x="6" y="6" width="12" height="12" rx="1.5" />
  </Icon>
)
export const RestartIcon = () => (
  <Icon size={16}>
    <path d="M20 11a8 8 0 1 0-.6 4.2M20 4.5V11h-6.5" />
  </Icon>
)
export const ServicesIcon = () => (
  <Icon>
    <rect x="3.5" y="4" width="17" height="6.5" rx="1.6" />
    <rect x="3.5" y="13.5" width="17" height="6.5" rx="1.6" />
    <path d="M7 7.3h.01M7 16.8h.01" stroke-width="2.6" />
  </Icon>
)
export const TimelineIcon = () => (
  <Icon>
    <path d="M6 4v16M6 7h.01M11 7h9M11 12h7M11 17h9" />
    <path d="M6 7h.01M6 12h.01M6 17h.01" stroke-width="5" />
  </Icon>
)
export const ModelsIcon = () => (
  <Icon>
    <path d="M12 3.2 20 7.6v8.8l-8 4.4-8-4.4V7.6zM4.2 7.7 12 12l7.8-4.3M12 12v8.6" />
  </Icon>
)
export const MachinesIcon = () => (
  <Icon>
    <rect x="3.5" y="4" width="17" height="11.5" rx="1.8" />
    <path d="M9 20h6M12 15.5V20" />
  </Icon>
)
export const SystemIcon = () => (
  <Icon>
    <path d="M4 7h9M17 7h3M4 17h3M11 17h9" />
    <circle cx="15" cy="7" r="2.2" />
    <circle cx="9" cy="17" r="2.2" />
  </Icon>
)
export const KeysIcon = () => (
  <Icon>
    <circle cx="8" cy="15.5" r="4" />
    <path d="m11 12.6 8.5-8.4M16 8l2.8 2.8" />
  </Icon>
)
export const WarnIcon = () => (
  <Icon size={16}>
    <path d="M12 4 2.8 19.5h18.4zM12 10v4.2M12 17h.01" />
  </Icon>
)
export const CopyIcon = () => (
  <Icon size={15}>
    <rect x="8.5" y="8.5" width="11.5" height="11.5" rx="2" />
    <path d="M15.5 8.5V6a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v7.5a2 2 0 0 0 2 2h2.5" />
  </Icon>
)
export const OpenIcon = () => (
  <Icon size={15}>
    <path d="M14 4h6v6M20 4l-9 9M18 14v4a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2h4" />
  </Icon>
)
export const ThemeIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="8" />
    <path fill="currentColor" d="M12 4a8 8 0 0 1 0 16z" />
  </Icon>
)
export const LeaveIcon = () => (
  <Icon>
    <path d="M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M10 8l-4 4 4 4M6 12h10" />
  </Icon>
)
