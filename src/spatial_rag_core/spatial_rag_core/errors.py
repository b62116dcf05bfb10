"""
Every error that Spatial-RAG raises on purpose.

SpatialRagError
├── ConfigurationError         a setting, parameter or argument out of its range
├── InputError                 data from outside that cannot be used; the next one may be fine
│   ├── ImageError             unknown encoding, wrong step, no pixels, not decodable
│   ├── PoseError              not finite, no rotation, in another frame
│   ├── ActionError            another length than action_dim, not finite
│   └── LatentError            another length than z_dim, not finite
├── BundleError                a model file is missing, damaged, or made for other dimensions
├── BagError                   a recording is missing, damaged, or of an unknown type
├── EpisodeError               a file of episodes is missing, damaged, or of another layout
├── TrainingError              a training or an experiment cannot begin, go on, or be resumed
├── ServiceUnavailableError    a node does not answer, or has not what is asked for yet
├── IndexUnavailableError      an index outside this process does not answer; it may recover
│   └── IndexInUseError        another uses its folder
└── JournalError               the memory file cannot be used
    ├── JournalUnavailableError   not writable, disk full, locked: it may recover by itself
    │   └── TargetUnavailableError    that is so of a file to be made; name another
    ├── JournalDamagedError       bytes are not what was written; restore a backup or salvage
    ├── JournalInUseError         another process writes to it already
    ├── SchemaVersionError        written by another version of this software
    │   └── OlderSchemaError          an older one: a writer brings it up to date
    ├── ModelMismatchError        holds latents of another encoder
    └── JournalMismatchError      made with another datum, cell size or dimension

Each message names the value and the remedy in one line.
"""


class SpatialRagError(Exception):
    """Anything that Spatial-RAG itself reports."""


class ConfigurationError(SpatialRagError, ValueError):
    """A setting, parameter or argument is out of its range."""


class InputError(SpatialRagError, ValueError):
    """Data from outside cannot be used; the next message may be fine."""


class ImageError(InputError):
    """A picture has an unknown encoding, a wrong step, no pixels, or does not decode."""


class PoseError(InputError):
    """A pose is not finite, has no rotation, or is in another frame."""


class ActionError(InputError):
    """An action has another length than action_dim or is not finite."""


class LatentError(InputError):
    """A latent has another length than z_dim or is not finite."""


class BundleError(SpatialRagError):
    """A model file is missing, damaged, or made for other dimensions."""


class BagError(SpatialRagError):
    """A recording is missing, damaged, or holds no usable topic."""


class EpisodeError(SpatialRagError):
    """A file of episodes, or one episode of it, is missing, damaged, or of another layout."""


class TrainingError(SpatialRagError):
    """A training or an experiment cannot begin, go on, or be resumed."""


class ServiceUnavailableError(SpatialRagError):
    """A node does not answer in time, or has not yet what is asked for; ask again later."""


class JournalError(SpatialRagError):
    """The memory file cannot be used."""


class IndexUnavailableError(SpatialRagError):
    """The index is on a server that does not answer; the memory itself is not touched."""


class IndexInUseError(IndexUnavailableError):
    """Another index, in this process or in another one, uses the folder of this one."""


class JournalUnavailableError(JournalError):
    """The memory file cannot be read or written now: permissions, full disk, lock."""


class TargetUnavailableError(JournalUnavailableError):
    """A file that is to be made cannot be written; the memory that it is made from is fine."""


class JournalDamagedError(JournalError):
    """Bytes of the memory file are not what was written."""


class JournalInUseError(JournalError):
    """Another process writes to the memory file; the message says who."""


class SchemaVersionError(JournalError):
    """The memory file was written by another version of this software."""


class OlderSchemaError(SchemaVersionError):
    """The memory file has an older schema; a writer that opens it brings it up to date."""


class ModelMismatchError(JournalError):
    """The memory file holds latents of another encoder."""


class JournalMismatchError(JournalError):
    """The memory file was made with another datum, cell resolution or dimension."""
