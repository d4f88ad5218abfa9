import { ActionIcon, Tooltip } from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';
import { useState } from 'react';
import { t } from '@/text';
import { copyText } from './copy';
import { notifyError } from './notify';
import css from './ui.module.css';

/** A button that copies a text. */
export function CopyButton({ text, label }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const name = done ? t('common.copied') : (label ?? t('common.copy'));
  return (
    <Tooltip label={name}>
      <ActionIcon
        aria-label={name}
        onClick={() => {
          copyText(text)
            .then(() => {
              setDone(true);
              setTimeout(() => setDone(false), 2000);
            })
            .catch(() => notifyError({ code: 'COPY', message: t('common.copyFailed') }));
        }}
      >
        {done ? <IconCheck size={16} /> : <IconCopy size={16} />}
      </ActionIcon>
    </Tooltip>
  );
}

interface Props {
  text: string;
  label: string;
  /** Long lines break instead of scrolling. */
  wrap?: boolean;
}

/** A text to take elsewhere: a command, a key, an address. */
export function CopyField({ text, label, wrap }: Props) {
  return (
    <div className={`${css.copy} ${wrap ? css.copyWrap : ''}`} role="group" aria-label={label}>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls has to be reached by keyboard */}
      <code tabIndex={0}>{text}</code>
      <CopyButton text={text} />
    </div>
  );
}
