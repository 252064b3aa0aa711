const list = (words: string) => new Set(words.split(" "));

/** The commonest function words of each language that shares its script with another. */
export const functionWords: Readonly<Record<string, ReadonlySet<string>>> = {
  en: list(
    "the of and to in is it you that he was for on are with as his they be at this have from or had by not but what all were we when your can said there use an each which she do how their if will up other about out many then them these so some her would make like him into has more no way could my than been who its now did get may over our any after also only just me us where most very should because while don't it's i'm a i am before here here's let's you're that's i'll under between such own being does much well new good make take use first even see know people time day two down off every again without during",
  ),
  es: list(
    "el la los las un una unos unas de del y en que es por con para su se lo al como más pero sus le ya este esta son entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante todos uno les ni contra otros ese eso ante ellos estos mucho nada muchos cual poco ella estar estas algunas algo nosotros mi tú yo está así",
  ),
  pt: list(
    "o a os as um uma de do da dos das e em no na nos nas que é para por com não se mais como mas ao ele seu sua ou quando muito já eu também só pelo pela até isso ela entre depois sem mesmo aos seus quem me esse eles você essa num nem suas meu minha são está foi ser ter há onde",
  ),
  fr: list(
    "le la les un une des de du et en est que qui dans pour pas sur au aux ce cette ces il elle ils elles nous vous je tu on ne se sa son ses leur plus par avec sont mais comme ou où tout fait être avoir même aussi très sans votre mon ma mes c'est d'un d'une l n'est qu quand si peut entre",
  ),
  de: list(
    "der die das den dem des ein eine einen einem einer und in ist zu mit von für auf nicht sich auch es er sie wir ihr ich du als an aus bei nach im am wie oder aber wenn nur noch kann sind war hat haben werden wird über so um durch man sein ihre dass vor zum zur mehr sehr gibt unter bis",
  ),
  it: list(
    "il lo la i gli le un uno una di del della dei delle dello e è in che non per con su da al alla nel nella sono come ma si più anche se ci questo questa mi ha o quando molto dove chi cosa tutto tutti essere hanno suo sua loro noi voi io tra ogni solo già ancora dal dalla può perché degli sul sulla",
  ),
  pl: list(
    "i w na z do się nie jest to że o jak po co ale za od dla czy przez są tak już był było być może tym ten ta te tego które który która oraz lub ich jego jej przed tylko bardzo gdy jeśli można też u ze pod ma mi my ty ja więc",
  ),
  vi: list(
    "và của là có không được cho với các một những trong để người này đã khi từ đến như cũng về ra vào nhiều rất tôi bạn chúng ta họ nó thì mà hay hoặc nếu vì đó sẽ đang làm lại trên hơn phải cần theo nhưng",
  ),
  sw: list(
    "na ya wa kwa ni la katika za cha kuwa hii huo hiyo yake wake watu kama pia au lakini hayo hivyo sana mimi wewe yeye sisi wao hakuna kila baada kabla yangu yako ambayo ambao vya mwa hilo huu wengi kutoka ili tu",
  ),
  fi: list(
    "ja on ei se että hän oli ovat kun mutta tai niin kuin myös joka jos minä sinä me te he ne tämä nämä olla ole sen hänen voi vain mitä mukaan jotka siitä nyt sitten hyvin koska kanssa ennen jälkeen ollut sekä kaikki paljon eikä olen mikä",
  ),
  nl: list(
    "de het een van en in is dat op te zijn met voor niet aan er om ook als maar bij of uit nog naar dan door over ze zich hij wat wordt worden kan heeft hebben deze dit die we ik je jij u mijn haar hun geen meer veel tot wel zo waar",
  ),
  sv: list(
    "och i att det som en ett på är av för med den till inte har om de var jag man men kan sig så från vi när eller ska också du han hon min din vid efter bara mycket mer alla finns där här vad hur blir än",
  ),
  da: list(
    "og i at det som en et på er af for med den til ikke har om de var jeg man men kan sig så fra vi når eller skal også du han hun min din ved efter kun meget mere alle der her hvad hvor hvordan bliver end nogle",
  ),
  ro: list(
    "și în de la cu pe un o care este nu că mai pentru din sunt se să ce dar sau fi au ca al ale lui ei lor prin foarte după când dacă aceasta acest noi voi eu tu el ea despre până fost doar toate",
  ),
  tr: list(
    "ve bir bu da de için ile çok ne o ama gibi daha en var mı mi olan olarak kadar sonra her şey ben sen biz siz onlar değil ise veya ya yok şu hem ki bile göre oldu olur olduğu nasıl",
  ),
  id: list(
    "yang dan di dari untuk dengan pada ini itu adalah tidak dalam ke akan juga atau bisa dapat saya anda kita kami mereka dia sebagai oleh lebih sudah ada karena jika seperti telah banyak saat agar hanya setelah",
  ),
  ru: list(
    "и в не на что с по это как я он она они мы вы ты но из у за к от так о для же бы или его её их если когда только есть был была было были может все ещё уже чтобы очень этот при до где нет",
  ),
  uk: list(
    "і в не на що з по це як я він вона вони ми ви ти але із у за до від так про для або його її їх якщо коли тільки є був була було були може все ще вже щоб дуже цей при та де немає й",
  ),
  bg: list(
    "и в не на че с по това как аз той тя те ние вие ти но от у за към така о да се са е или го ги ако когато само има беше бяха може всички още вече много този при до къде няма си ще като съм една един който която",
  ),
  ar: list(
    "في من على إلى عن مع هذا هذه ذلك التي الذي أن إن كان كانت لا ما لم هو هي هم نحن أنا أنت و أو ثم قد كل بعض بعد قبل عند بين حتى إذا لكن كما غير هناك ليس يمكن أيضا",
  ),
  fa: list(
    "در از به که این آن با را است برای و یا تا هم من تو او ما شما آنها بر یک نیز می شود شد بود هست نیست کرد کند کنید خود باید اگر چه هر همه بسیار بین پس اما دارد",
  ),
  ur: list(
    "میں ہے کی کے کا کو سے اور پر یہ وہ نے ہیں کہ ایک بھی تھا تھی تھے ہو گا گی نہیں آپ ہم تم اس ان جو تو کر لیے ساتھ بعد پہلے اگر لیکن یا تک ہی بہت کیا کرنا ہوتا",
  ),
  hi: list(
    "है और के का की में से को पर यह वह हैं ने कि एक भी था थी थे हो नहीं आप हम तुम इस उस जो तो कर लिए साथ बाद पहले अगर लेकिन या तक ही बहुत क्या होता करने मैं",
  ),
  mr: list(
    "आहे आणि च्या चा ची मध्ये ला हे ते हा ही ती आहेत एक पण होता होती होते नाही तुम्ही आम्ही मी तू या त्या जे तर करून साठी नंतर आधी जर परंतु किंवा खूप काय असते करणे आपण तसेच",
  ),
  ne: list(
    "छ र को मा लाई ले यो त्यो छन् एक पनि थियो थिए हुन्छ छैन तपाईं हामी म तिमी यस त्यस जो भने गरेर लागि साथ पछि अघि यदि तर वा सम्म धेरै के गर्न हुन् गर्छ",
  ),
};

/** Letters that, among the languages of its script, only this one has. */
export const letters: Readonly<Record<string, RegExp>> = {
  es: /[ñ¿¡]/,
  pt: /[ãõ]/,
  fr: /[œèêûëï]/,
  de: /ß/,
  it: /ì/,
  pl: /[ąęłńśźż]/,
  vi: /[đơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ]/,
  ro: /[șț]/,
  tr: /[ığş]/,
  ru: /[ыэё]/,
  uk: /[іїєґ]/,
  ar: /[ةىي]/,
  fa: /[ژ]/,
  ur: /[ٹڈڑںےہ]/,
  mr: /ळ/,
};
