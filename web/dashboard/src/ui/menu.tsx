// A button with more actions behind it.

import * as Radix from "@radix-ui/react-dropdown-menu";
import { type LucideIcon, MoreHorizontal } from "lucide-react";
import type { ReactNode } from "react";

export interface MenuItem {
  label: string;
  icon?: LucideIcon;
  danger?: boolean;
  disabled?: boolean;
  onSelect: () => void;
}

export function Menu({ label, items, trigger }: { label: string; items: (MenuItem | false)[]; trigger?: ReactNode }) {
  const shown = items.filter((item): item is MenuItem => item !== false);
  if (shown.length === 0) return null;
  return (
    // Not modal: it would write a style element, see dialog.tsx.
    <Radix.Root modal={false}>
      {trigger ? (
        <Radix.Trigger className="menu-trigger">{trigger}</Radix.Trigger>
      ) : (
        <Radix.Trigger className="icon-button" title={label}>
          <MoreHorizontal aria-hidden size={16} />
          <span className="sr-only">{label}</span>
        </Radix.Trigger>
      )}
      <Radix.Portal>
        <Radix.Content className="menu" align="end" sideOffset={4} collisionPadding={8}>
          {shown.map(({ label: text, icon: Icon, danger, disabled, onSelect }) => (
            <Radix.Item key={text} className={`menu-item ${danger ? "danger" : ""}`} disabled={disabled ?? false} onSelect={onSelect}>
              {Icon && <Icon aria-hidden size={15} />}
              {text}
            </Radix.Item>
          ))}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
