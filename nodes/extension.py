"""The list of the pack's nodes."""

from __future__ import annotations

from .apply_characters import ApplyCharacters
from .bernini import BerniniGuider
from .best_of import BestOf, Seeds
from .characters import Character
from .dreamid import DreamIDReferences
from .encoders import EncodeIdentity, EncodeVoice
from .faces import EncodeFace, LoadIdentityAdapter
from .guidance import Guider
from .host import ComfyExtension, io
from .humo import HumoConditioning
from .humo_guider import HumoGuider
from .identity import ApplyIdentity
from .latents import Decode, EmptyLatent
from .loaders import LoadDiT
from .ovi_latents import OviDecode, OviLatent
from .ovi_loaders import LoadMMAudio, LoadOvi
from .ovi_prompt import OviPrompt
from .ovi_sampler import OviSampler
from .prompt import EncodePrompt
from .provenance import Verify, Watermark
from .recipe_guiders import LynxGuider, PhantomGuider
from .reference_inputs import PhantomSubjects, ReferencePrompt
from .regions import IdentityRegion
from .report import LikenessReport
from .sampler import Sampler
from .speak import LoadSpeechModel, Speak
from .speech import EncodeSpeech
from .strength import IdentityStrength
from .video_faces import ChooseFrames
from .wan_loaders import LoadWanModel, LoadWanText, LoadWanVAE
from .weigh import WeighReferences


class WanR2VExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes, in the order of a workflow."""
        return [
            LoadDiT,
            EncodePrompt,
            EncodeIdentity,
            EncodeVoice,
            Character,
            ApplyCharacters,
            EmptyLatent,
            Guider,
            Sampler,
            Decode,
            LikenessReport,
            Seeds,
            BestOf,
            LoadWanModel,
            LoadWanText,
            LoadWanVAE,
            LoadIdentityAdapter,
            ChooseFrames,
            EncodeFace,
            ApplyIdentity,
            IdentityStrength,
            IdentityRegion,
            WeighReferences,
            LynxGuider,
            PhantomSubjects,
            PhantomGuider,
            ReferencePrompt,
            BerniniGuider,
            EncodeSpeech,
            HumoConditioning,
            HumoGuider,
            LoadOvi,
            LoadMMAudio,
            OviPrompt,
            DreamIDReferences,
            OviLatent,
            OviSampler,
            OviDecode,
            LoadSpeechModel,
            Speak,
            Watermark,
            Verify,
        ]
