// A box to narrow a list with.

import { Search } from "lucide-react";

export function SearchBox({ value, onChange, label }: { value: string; onChange: (value: string) => void; label: string }) {
  return (
    <label className="search">
      <Search aria-hidden size={15} />
      <span className="sr-only">{label}</span>
      <input type="search" value={value} onChange={(event) => onChange(event.target.value)} placeholder={label} spellCheck={false} autoComplete="off" />
    </label>
  );
}

export function Segments<T extends string>({ label, value, onChange, options }: { label: string; value: T; onChange: (value: T) => void; options: { value: T; label: string; count?: number }[] }) {
  return (
    <div className="segments" role="group" aria-label={label}>
      {options.map(({ value: option, label: text, count }) => (
        <button key={option} type="button" aria-pressed={option === value} onClick={() => onChange(option)}>
          {text}
          {count !== undefined && <span className="segment-count">{count}</span>}
        </button>
      ))}
    </div>
  );
}
