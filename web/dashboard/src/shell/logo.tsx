// The mark: one stream in, many out.

export function Logo({ size = 24 }: { size?: number }) {
  return (
    <svg className="logo" width={size} height={size} viewBox="0 0 32 32" aria-hidden>
      <rect width="32" height="32" rx="8" />
      <g fill="none" strokeWidth="2.6" strokeLinecap="round">
        <path d="M6 16h20" />
        <path d="M10 16c6 0 5-8 16-8" />
        <path d="M10 16c6 0 5 8 16 8" />
      </g>
    </svg>
  );
}
