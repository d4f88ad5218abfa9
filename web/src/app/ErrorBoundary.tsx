import { Button } from '@mantine/core';
import { IconMoodSad } from '@tabler/icons-react';
import { Component, type ReactNode } from 'react';
import { t } from '@/text';
import { EmptyState } from '@/ui/EmptyState';

interface Props {
  children: ReactNode;
  /** Another one means another page: the next try. */
  place?: string;
}

interface State {
  broken: boolean;
}

/** Holds a page that broke, so that the rest goes on. */
export class ErrorBoundary extends Component<Props, State> {
  override state: State = { broken: false };

  static getDerivedStateFromError(): State {
    return { broken: true };
  }

  override componentDidUpdate(before: Props): void {
    if (this.state.broken && before.place !== this.props.place) this.setState({ broken: false });
  }

  override render(): ReactNode {
    if (!this.state.broken) return this.props.children;
    return (
      <EmptyState
        main
        icon={IconMoodSad}
        title={t('error.crashed')}
        action={
          <Button variant="filled" onClick={() => window.location.reload()}>
            {t('error.reload')}
          </Button>
        }
      >
        {t('error.crashedHint')}
      </EmptyState>
    );
  }
}
